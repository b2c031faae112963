"""Hugging Face's client of text-generation-inference drives TGI's API."""

import unittest

from text_generation import Client
from text_generation.errors import ValidationError

from served import PATIENCE_S, ServedTest

ONCE = "Once upon a time"


class TextGenerationTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = Client(cls.address, timeout=PATIENCE_S)

    def test_a_text_and_its_details(self):
        answer = self.client.generate(ONCE, max_new_tokens=10, do_sample=True, seed=7,
                                      decoder_input_details=True)
        self.assertEqual(answer.details.generated_tokens, len(answer.details.tokens))
        self.assertEqual("".join(token.text for token in answer.details.tokens),
                         answer.generated_text)
        self.assertIsNone(answer.details.prefill[0].logprob)
        again = self.client.generate(ONCE, max_new_tokens=10, do_sample=True, seed=7)
        self.assertEqual(again.generated_text, answer.generated_text)
        whole = self.client.generate(ONCE, max_new_tokens=10, do_sample=True, seed=7,
                                     return_full_text=True)
        self.assertEqual(whole.generated_text, ONCE + answer.generated_text)

    def test_a_stream_is_the_same_text(self):
        whole = self.client.generate(ONCE, max_new_tokens=30).generated_text
        events = list(self.client.generate_stream(ONCE, max_new_tokens=30))
        self.assertEqual("".join(event.token.text for event in events if not event.token.special),
                         whole)
        self.assertEqual(events[-1].generated_text, whole)

    def test_what_shapes_a_text(self):
        whole = self.client.generate(ONCE, max_new_tokens=30).generated_text
        stop = whole[10:12]
        stopped = self.client.generate(ONCE, max_new_tokens=30, stop_sequences=[stop])
        self.assertEqual(stopped.generated_text, whole[:whole.index(stop) + len(stop)])
        best = self.client.generate(ONCE, max_new_tokens=5, do_sample=True, best_of=3)
        self.assertEqual(len(best.details.best_of_sequences), 2)

    def test_errors(self):
        with self.assertRaises(ValidationError):
            self.client.generate(ONCE, max_new_tokens=1_000_000)


if __name__ == "__main__":
    unittest.main()

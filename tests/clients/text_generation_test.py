"""Hugging Face's clients drive TGI's API: text-generation, and the one of their hub, which knows /info."""

import unittest

from huggingface_hub import InferenceClient
from text_generation import Client
from text_generation.errors import ValidationError

from served import PATIENCE_S, ServedTest

ONCE = "Once upon a time"


class TextGenerationTest(ServedTest):
    served_name = "tgi"  # so the client calls every model that it chats with

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

    def test_the_paths_of_its_own(self):
        whole = self.client.generate(ONCE, max_new_tokens=30).generated_text
        hub = InferenceClient(self.address + "/generate", timeout=PATIENCE_S)
        self.assertEqual(hub.text_generation(ONCE, max_new_tokens=30), whole)
        streaming = Client(self.address + "/generate_stream", timeout=PATIENCE_S)
        events = list(streaming.generate_stream(ONCE, max_new_tokens=30))
        self.assertEqual(events[-1].generated_text, whole)

    def test_a_chat(self):
        messages = [{"role": "user", "content": "Tell me a story."}]
        answer = self.client.chat(messages, max_tokens=20, seed=7)
        content = answer.choices[0].message.content
        self.assertGreater(len(content), 10)
        # As a stream, this client cannot read what TGI itself sends today, OpenAI's form: it asks
        # for `tool_calls` in every delta and takes [DONE] for JSON. The hub's client can.
        hub = InferenceClient(base_url=self.address + "/v1", timeout=PATIENCE_S)
        chunks = hub.chat_completion(messages, model="tgi", max_tokens=20, seed=7, stream=True)
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), content)

    def test_the_state_of_the_server(self):
        hub = InferenceClient(self.address, provider="hf-inference", timeout=PATIENCE_S)
        self.assertTrue(hub.health_check())
        self.assertEqual(hub.get_endpoint_info()["model_id"], "tgi")

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

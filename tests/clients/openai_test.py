"""OpenAI's own client drives OpenAI's API.

The client reads what it gets with tolerance; here every answer must be valid by its types, too.
"""

import asyncio
import json
import time
import unittest

import openai
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from served import PATIENCE_S, ServedTest

STORY = [{"role": "user", "content": "Tell me a story."}]
ONCE = "Once upon a time"


class OpenAiTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai.OpenAI(base_url=cls.address + "/v1", api_key="none", max_retries=0,
                                   timeout=PATIENCE_S)

    def chat(self, **fields):
        fields = {"model": "demo", "messages": STORY, "max_tokens": 20, "seed": 7} | fields
        raw = self.client.chat.completions.with_raw_response.create(**fields)
        ChatCompletion.model_validate_json(raw.http_response.content)
        return raw.parse()

    def text(self, **fields):
        fields = {"model": "demo", "prompt": ONCE, "seed": 7} | fields
        raw = self.client.completions.with_raw_response.create(**fields)
        # The type knows no null among the log probabilities; of an echo's first token it is one.
        document = json.loads(raw.http_response.content)
        for choice in document["choices"]:
            choice["logprobs"] = None
        Completion.model_validate(document)
        return raw.parse()

    def refused(self, call, error=openai.BadRequestError, **fields):
        with self.assertRaises(error) as caught:
            call(**fields)
        return caught.exception.param

    # --- models ---

    def test_models(self):
        listed = self.client.models.list().data
        self.assertEqual([model.id for model in listed], ["demo"])
        Model.model_validate(listed[0].model_dump())
        self.assertEqual(self.client.models.retrieve("demo"), listed[0])
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")
        self.assertEqual(self.refused(self.chat, openai.NotFoundError, model="other"), "model")

    # --- chat ---

    def test_a_chat(self):
        answer = self.chat()
        choice = answer.choices[0]
        self.assertEqual(choice.message.role, "assistant")
        self.assertGreater(len(choice.message.content), 10)
        self.assertIn(choice.finish_reason, ("length", "stop"))
        usage = answer.usage
        self.assertLessEqual(usage.completion_tokens, 20)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertEqual(self.chat().choices[0].message.content, choice.message.content)
        self.assertGreater(self.chat().usage.prompt_tokens_details.cached_tokens, 0)
        self.assertNotEqual(self.chat(seed=8).choices[0].message.content, choice.message.content)

    def test_a_stream_is_the_same_text(self):
        whole = self.chat(n=2)
        texts, finishes, usages = {0: "", 1: ""}, {}, []
        with self.client.chat.completions.create(
                model="demo", messages=STORY, max_tokens=20, seed=7, n=2, stream=True,
                stream_options={"include_usage": True}) as stream:
            for chunk in stream:
                ChatCompletionChunk.model_validate(chunk.model_dump())
                usages.append(chunk.usage)
                for choice in chunk.choices:
                    texts[choice.index] += choice.delta.content or ""
                    finishes[choice.index] = choice.finish_reason
        self.assertEqual([texts[0], texts[1]], [c.message.content for c in whole.choices])
        self.assertEqual([finishes[0], finishes[1]], [c.finish_reason for c in whole.choices])
        self.assertEqual(usages[-1].completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(set(usages[:-1]), {None})

    def test_messages_of_every_form(self):
        parts = [{"type": "text", "text": "Tell me a story."}]
        same = self.chat(messages=[{"role": "user", "content": parts}])
        self.assertEqual(same.choices[0].message.content, self.chat().choices[0].message.content)
        system = [{"role": "system", "content": "Be kind."}] + STORY
        developer = [{"role": "developer", "content": "Be kind."}] + STORY
        self.assertEqual(self.chat(messages=system).choices[0].message.content,
                         self.chat(messages=developer).choices[0].message.content)

    def test_what_shapes_a_chat(self):
        content = self.chat().choices[0].message.content
        stop = content[8:10]
        stopped = self.chat(stop=[stop, "\x00"]).choices[0]
        self.assertEqual(stopped.message.content, content[:content.index(stop)])
        self.assertEqual(stopped.finish_reason, "stop")
        self.assertEqual(self.chat(max_completion_tokens=3).usage.completion_tokens, 3)
        coldest = self.chat(temperature=0).choices[0].message.content
        self.assertEqual(self.chat(extra_body={"top_k": 1}).choices[0].message.content, coldest)
        self.assertEqual(self.chat(top_p=1e-6).choices[0].message.content, coldest)
        token = self.post("/tokenize", {"prompt": " dog", "add_special_tokens": False})["tokens"][0]
        forced = self.chat(logit_bias={str(token): 100}, max_tokens=4)
        self.assertEqual(forced.choices[0].message.content.split(), ["dog"] * 4)
        words = self.chat(presence_penalty=2, frequency_penalty=2, logit_bias={str(token): 40},
                          max_tokens=60, temperature=0).choices[0].message.content.split()
        self.assertEqual(words[0], "dog")
        self.assertLess(words.count("dog"), len(words), "penalties outweigh the bias in the end")
        beams = self.chat(n=2, extra_body={"beam_width": 3})
        self.assertNotEqual(beams.choices[0].message.content, beams.choices[1].message.content)

    def test_chat_logprobs(self):
        choice = self.chat(logprobs=True, top_logprobs=3).choices[0]
        tokens = choice.logprobs.content
        spelled = b"".join(bytes(token.bytes) for token in tokens).decode()
        self.assertTrue(spelled.startswith(choice.message.content))
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)

    def test_what_is_not_there_yet_is_named(self):
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        self.assertEqual(self.refused(self.chat, tools=[tool]), "tools")
        self.assertEqual(self.refused(self.chat, response_format={"type": "json_object"}),
                         "response_format")
        image = [{"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}]
        self.assertEqual(self.refused(self.chat, messages=[{"role": "user", "content": image}]),
                         "messages[0].content[0].type")
        self.assertEqual(self.refused(self.chat, temperature=-1), "temperature")
        self.assertEqual(self.refused(self.text, suffix="x"), "suffix")

    def test_a_client_that_goes_stops_its_request(self):
        with self.client.chat.completions.create(
                model="demo", messages=STORY, n=16, stream=True,
                extra_body={"ignore_eos": True}) as stream:
            next(iter(stream))
        deadline = time.monotonic() + PATIENCE_S
        while self.metric("octavo:num_requests_running") > 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.metric("octavo:num_requests_running"), 0)

    def test_many_at_once(self):
        async def ask_all():
            async with openai.AsyncOpenAI(base_url=self.address + "/v1", api_key="none",
                                          max_retries=0, timeout=PATIENCE_S) as client:
                return await asyncio.gather(*(client.chat.completions.create(
                    model="demo", messages=STORY, max_tokens=20, seed=seed) for seed in range(32)))

        for seed, answer in enumerate(asyncio.run(ask_all())):
            self.assertEqual(answer.choices[0].message.content,
                             self.chat(seed=seed).choices[0].message.content)

    # --- completions ---

    def test_prompts_of_every_form(self):
        ids = self.post("/tokenize", {"prompt": ONCE})["tokens"]
        one = self.text().choices[0].text
        self.assertEqual(self.text(prompt=ids).choices[0].text, one)
        texts = self.text(prompt=[ONCE, "The end", ONCE], n=2).choices
        self.assertEqual([choice.index for choice in texts], [0, 1, 2, 3, 4, 5])
        self.assertEqual([texts[0].text, texts[4].text], [one, one])
        lists = self.text(prompt=[ids, ids]).choices
        self.assertEqual([choice.text for choice in lists], [one, one])

    def test_a_text_stream_is_the_same_text(self):
        whole = self.text(max_tokens=30)
        self.assertEqual(self.text().usage.completion_tokens, 16)
        with self.client.completions.create(model="demo", prompt=ONCE, seed=7, max_tokens=30,
                                            stream=True) as stream:
            self.assertEqual("".join(chunk.choices[0].text for chunk in stream),
                             whole.choices[0].text)

    def test_echo_and_logprobs(self):
        plain = self.text(max_tokens=4)
        choice = self.text(max_tokens=4, echo=True, logprobs=2).choices[0]
        self.assertEqual(choice.text, ONCE + plain.choices[0].text)
        logprobs = choice.logprobs
        lengths = {len(logprobs.tokens), len(logprobs.token_logprobs), len(logprobs.top_logprobs),
                   len(logprobs.text_offset)}
        self.assertEqual(lengths, {plain.usage.prompt_tokens + 4})
        self.assertIsNone(logprobs.token_logprobs[0])

    def test_best_of(self):
        best = self.text(n=1, best_of=4)
        self.assertEqual(best.usage.completion_tokens, 64)

        def mean(choice):
            return sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)

        self.assertEqual(best.choices[0].text,
                         max(self.text(n=4, logprobs=0).choices, key=mean).text)

    # --- embeddings ---

    def test_embeddings(self):
        raw = self.client.embeddings.with_raw_response.create(
            model="demo", input=[ONCE, "The end"], encoding_format="float")
        CreateEmbeddingResponse.model_validate_json(raw.http_response.content)
        answer = raw.parse()
        self.assertEqual([each.index for each in answer.data], [0, 1])
        for each in answer.data:
            self.assertAlmostEqual(sum(x * x for x in each.embedding), 1, places=5)
        ids = [self.post("/tokenize", {"prompt": text})["tokens"] for text in (ONCE, "The end")]
        self.assertEqual(answer.usage.prompt_tokens, len(ids[0]) + len(ids[1]))
        # The client asks for base64 when nobody says otherwise, and decodes it.
        for inputs in ([ONCE, "The end"], ids):
            packed = self.client.embeddings.create(model="demo", input=inputs)
            self.assertEqual([each.embedding for each in packed.data],
                             [each.embedding for each in answer.data])
        one = self.client.embeddings.create(model="demo", input=ids[0])
        self.assertEqual(one.data[0].embedding, answer.data[0].embedding)

    def test_embeddings_that_can_not_be(self):
        create = self.client.embeddings.create
        self.assertEqual(self.refused(create, model="demo", input=""), "input")
        self.assertEqual(self.refused(create, model="demo", input=["a", "a " * 9999]), "input[1]")
        self.assertEqual(self.refused(create, model="demo", input="a", dimensions=8), "dimensions")
        self.assertEqual(self.refused(create, openai.NotFoundError, model="other", input="a"),
                         "model")

    # --- beside OpenAI's API ---

    def test_tokens_and_templates(self):
        def ask(path, **body):
            return self.client.post(self.address + path, cast_to=object, body=body)

        tokens = ask("/tokenize", prompt=ONCE)
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        self.assertEqual(ask("/detokenize", tokens=tokens["tokens"][1:])["prompt"], ONCE)
        self.assertEqual(ask("/tokenize", messages=STORY)["count"],
                         self.chat().usage.prompt_tokens)
        self.assertIn(STORY[0]["content"], ask("/apply-template", messages=STORY)["prompt"])

    def test_the_state_of_the_server(self):
        def look_at(path, kind=object):
            return self.client.get(self.address + path, cast_to=kind)

        for path in ("/health", "/ready"):
            self.assertEqual(look_at(path), {"status": "ok"})
        self.assertRegex(look_at("/version")["version"], r"^\d+\.\d+\.\d+")
        self.assertIn("octavo:num_requests_running", look_at("/metrics", str))


if __name__ == "__main__":
    unittest.main()

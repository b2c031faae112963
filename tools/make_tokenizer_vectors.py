#!/usr/bin/env python3
"""Writes the token ids that llama.cpp gives for a list of texts, as vectors for Octavo's tests.

    pip install llama-cpp-python==0.3.36
    tools/make_tokenizer_vectors.py VOCABULARIES SMOLLM2 > tests/data/tokenizer/llama_cpp.json

VOCABULARIES is the folder with ggml-vocab-llama-bpe.gguf, SMOLLM2 the file
SmolLM2-135M-Instruct.Q4_1.gguf. The vectors of the pre-tokenizers are made with llama-bpe's
vocabulary and another name in tokenizer.ggml.pre, so that only the patterns differ. The texts avoid
the two places where llama.cpp is known to leave the models' own patterns: marks after letters (tekken,
gpt-4o) and white space outside ASCII after a space (deepseek-llm, deepseek-coder).
"""

import json
import sys

from llama_cpp import Llama

PRE_TOKENIZERS = [
    "default", "gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "qwen35", "tekken", "gpt-4o",
    "falcon", "deepseek-coder", "deepseek-llm", "deepseek-v3", "bailingmoe",
]

TEXTS = [
    "",
    " ",
    "    ",
    "\n",
    "\n\n\n",
    " \n \n",
    "\t\tif x:\r\n\t\t\treturn 1\r\n",
    "The lamp on the quay went out at half past nine.",
    "  Two spaces first, and two after.  ",
    "I've, YOU'VE, they'll, WE'LL, it's, IT'S, don't, she'd, I'm, we're",
    "o'clock 'tis 'quoted' l'eau",
    "1 12 123 1234 12345 123456 1234567",
    "3.14159, 1,000,000; 50% of $20 = 10 + -1^2 ~ <=>",
    "0x7fff_ffff & 0b1010 | ~mask",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }  // O(n)",
    "https://example.org/a/b?c=d&e=f#g",
    "snake_case camelCase PascalCase SCREAMING_CASE iPhone McIntyre HTMLParser",
    "Größe, naïve, coöperate, Ångström, fiancée",
    "Ελληνικά και Кириллица рядом",
    "我们在下午三点十五分出发，大约走了12公里。",
    "東京タワーは高いです。ひらがなとカタカナ",
    "한국어 문장과 숫자 42",
    "مرحبا بالعالم ١٢٣",
    "🙂🙃 ok 👍🏽!",
    "½ Ⅷ ² ①",
    "a/b//c\\d\\\\e",
    "---\n### Title\n\n* one\n* two\n---",
    "\"quoted\", 'single', `grave`, «guillemets», (round) [square] {curly}",
    "!!!???...",
    "word\u00a0joined\u2014dash\u2026 end",
    "\u2028line\u2029paragraph",
    "tab\tafter\u000bvertical\u000cfeed",
    "\u0000null\u001bescape\u007fdelete",
    "x = y;\n\n\n    z = w;\n  \n\t\n",
    "ǅ ǈ ﬁ ﬀ ｗｉｄｅ ℕ 𝐀𝐁 𐐀",
    "ends with spaces    ",
    "a" * 60 + "B" * 60 + "7" * 60,
    "!" * 40 + "=" * 40 + " " * 40 + "\n" * 40,
]

WITH_SPECIAL = [
    "<|im_start|>user\nWhat is a tide table?<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext|>text<|endoftext|><|im_end|> <|im_start|",
    "no special <token> here <repo_name><file_sep>",
]


def load(path, **overrides):
    return Llama(model_path=path, vocab_only=True, verbose=False, kv_overrides=overrides or None)


def ids(model, text, special=False):
    return model.tokenize(text.encode(), add_bos=special, special=special)


def main():
    vocabulary = sys.argv[1] + "/ggml-vocab-llama-bpe.gguf"
    result = {"texts": TEXTS, "pre_tokenizers": {}}
    for pre in PRE_TOKENIZERS:
        model = load(vocabulary, **{"tokenizer.ggml.pre": pre})
        result["pre_tokenizers"][pre] = [ids(model, text) for text in TEXTS]
    smollm2 = load(sys.argv[2])
    result["smollm2"] = [ids(smollm2, text) for text in TEXTS]
    result["special_texts"] = WITH_SPECIAL
    result["smollm2_special"] = [ids(smollm2, text, True) for text in WITH_SPECIAL]
    # One row of ids a line, so that a difference is seen as one.
    text = json.dumps(result, ensure_ascii=True, separators=(",", ":"))
    print(text.replace("],[", "],\n[").replace(':[[', ':[\n[').replace('","', '",\n"'))


main()

"""Asks a server with OpenAI's Python client: what it parses, streams and raises. Arguments: base URL, model."""

import sys

import openai

url, model = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
ask = dict(model=model, messages=[{"role": "user", "content": "什么是光合作用？"}], temperature=1, seed=5, max_tokens=40)

assert [m.id for m in client.models.list()] == [model]
assert client.models.retrieve(model).owned_by == "sft-native"

whole = client.chat.completions.create(**ask, n=2)
assert [c.index for c in whole.choices] == [0, 1]
assert all(c.message.role == "assistant" and c.finish_reason in ("stop", "length") for c in whole.choices)
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
assert whole.usage.completion_tokens > 2

texts = {0: "", 1: ""}
usage = None
for chunk in client.chat.completions.create(**ask, n=2, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        texts[choice.index] += choice.delta.content or ""
assert texts == {c.index: c.message.content for c in whole.choices}, texts
assert usage == whole.usage, usage

with client.chat.completions.stream(**ask) as stream:  # the client's own assembly of a message
    assert [e.snapshot for e in stream if e.type == "content.delta"][-1] == texts[0]

text = client.completions.create(model=model, prompt=["The sun", "The sun"], temperature=0, max_tokens=8)
assert text.object == "text_completion" and text.choices[0].text == text.choices[1].text != ""
pieces = client.completions.create(model=model, prompt="The sun", temperature=0, max_tokens=8, stream=True)
assert "".join(c.choices[0].text for c in pieces) == text.choices[0].text

# an answer of the client's goes back as it came
history = ask["messages"] + [whole.choices[0].message, {"role": "user", "content": "?"}]
assert client.chat.completions.create(**{**ask, "messages": history}).choices[0].message.content


def raises(kind, param, code, **fields):
    try:
        client.chat.completions.create(**{**ask, **fields})
    except kind as e:
        assert type(e) is kind and (e.param, e.code) == (param, code), (type(e), e.param, e.code)
        assert e.type == "invalid_request_error" and e.body["message"]
    else:
        raise AssertionError(f"{fields} was taken")


tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
raises(openai.BadRequestError, "temperature", "invalid_value", temperature=3)
raises(openai.BadRequestError, "tools", "unsupported_parameter", tools=[tool])
raises(openai.BadRequestError, "response_format", "unsupported_parameter", response_format={"type": "json_object"})
raises(openai.BadRequestError, "logprobs", "unsupported_parameter", logprobs=True)
raises(openai.BadRequestError, "top_k", "unknown_parameter", extra_body={"top_k": 3})
raises(openai.BadRequestError, "max_tokens", "context_length_exceeded", max_tokens=100_000)
raises(openai.NotFoundError, "model", "model_not_found", model="gpt")
try:
    client.chat.completions.create(**{**ask, "messages": [{"role": "user", "content": "a" * (9 << 20)}]})
    raise AssertionError("9 MiB were taken")
except openai.APIStatusError as e:
    assert e.status_code == 413 and e.code == "request_too_large"

# leaving a stream early
stream = client.chat.completions.create(**{**ask, "max_tokens": 900}, stream=True)
next(iter(stream))
stream.close()
print("openai", openai.__version__, "is content")

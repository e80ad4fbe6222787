// Asks a server with OpenAI's JavaScript client: what it parses, streams and throws. Arguments: base URL, model.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const ask = { model, messages: [{ role: "user", content: "什么是光合作用？" }], temperature: 1, seed: 5, max_tokens: 40 };

const names = [];
for await (const m of client.models.list()) names.push(m.id);
assert.deepEqual(names, [model]);

const whole = await client.chat.completions.create({ ...ask, n: 2 });
assert.deepEqual(whole.choices.map((c) => c.index), [0, 1]);
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);

const texts = ["", ""];
let usage = null;
const chunks = await client.chat.completions.create({ ...ask, n: 2, stream: true, stream_options: { include_usage: true } });
for await (const chunk of chunks) {
  usage = chunk.usage ?? usage;
  for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? "";
}
assert.deepEqual(texts, whole.choices.map((c) => c.message.content));
assert.deepEqual(usage, whole.usage);

const assembled = await client.chat.completions.stream(ask).finalContent();
assert.equal(assembled, texts[0]);

const text = await client.completions.create({ model, prompt: "The sun", temperature: 0, max_tokens: 8 });
let streamed = "";
for await (const c of await client.completions.create({ model, prompt: "The sun", temperature: 0, max_tokens: 8, stream: true })) {
  streamed += c.choices[0].text;
}
assert.equal(streamed, text.choices[0].text);
assert.notEqual(streamed, "");

async function throws(kind, param, code, fields) {
  await assert.rejects(client.chat.completions.create({ ...ask, ...fields }), (e) => {
    assert.ok(e instanceof kind, String(e));
    assert.deepEqual([e.param, e.code, e.type], [param, code, "invalid_request_error"]);
    return true;
  });
}
await throws(OpenAI.BadRequestError, "temperature", "invalid_value", { temperature: 3 });
await throws(OpenAI.BadRequestError, "logit_bias", "unsupported_parameter", { logit_bias: { 5: 1 } });
await throws(OpenAI.BadRequestError, "top_k", "unknown_parameter", { top_k: 3 });
await throws(OpenAI.NotFoundError, "model", "model_not_found", { model: "gpt" });

// leaving a stream early
const left = await client.chat.completions.create({ ...ask, max_tokens: 900, stream: true });
for await (const _ of left) break;
console.log("openai is content");

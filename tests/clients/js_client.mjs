// What a program that uses Ollama's client for JavaScript does. Prints one JSON object.
import { Ollama } from 'ollama'

const [url, model] = process.argv.slice(2)
const client = new Ollama({ host: url })
const options = { temperature: 0, num_predict: 16 }
const messages = [{ role: 'user', content: 'Hello' }]

async function joined(stream, textOf) {
    let text = ''
    for await (const part of await stream) text += textOf(part)
    return text
}

async function error_of(promise) {
    try {
        await promise
        return ''
    } catch (error) {
        return `${error.status_code} ${error.message}`
    }
}

async function aborted() {
    const stream = await client.chat({ model, messages, stream: true, options: { num_predict: -1, seed: 1 } })
    try {
        for await (const _ of stream) stream.abort()
        return 'ended'
    } catch (error) {
        return error.name
    }
}

const format = { type: 'object', properties: { n: { type: 'integer', maximum: 9 } }, required: ['n'],
    additionalProperties: false }
console.log(JSON.stringify({
    chat: (await client.chat({ model, messages, options })).message.content,
    streamed: await joined(client.chat({ model, messages, options, stream: true }), (part) => part.message.content),
    generated: (await client.generate({ model, prompt: 'Hello', options })).response,
    structured: JSON.parse(
        (await client.chat({ model, messages, format, options: { temperature: 0, num_predict: 200 } })).message.content),
    vectors: (await client.embed({ model, input: ['a', 'b'] })).embeddings.map((vector) => vector.length),
    listed: (await client.list()).models.map((one) => one.name),
    running: (await client.ps()).models.map((one) => one.name),
    family: (await client.show({ model })).details.family,
    version: (await client.version()).version,
    unknown: await error_of(client.chat({ model: 'nobody', messages })),
    aborted: await aborted(),
}))

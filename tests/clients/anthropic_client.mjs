// What a program that uses Anthropic's client for JavaScript does. Prints one JSON object.
import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'

const [url, model, thinker] = process.argv.slice(2)
const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 })
const schema = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] }
const tools = [
    { name: 'weather', description: 'Tells the weather', input_schema: schema },
    { name: 'note', input_schema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } },
]
const ask = (key) => ({ model, max_tokens: 1000, messages: [{ role: 'user', content: `Please #${key}` }] })
const without_ids = (message) => message.content.map(({ id, ...block }) => block)

async function streamed(request) {
    const stream = client.messages.stream(request)
    const events = []
    stream.on('text', (text) => events.push(text))
    const message = await stream.finalMessage()
    return { text: events.join(''), content: without_ids(message), reason: message.stop_reason, usage: message.usage }
}

async function error_of(promise) {
    try {
        await promise
        return ''
    } catch (error) {
        return `${error.status} ${error.error.error.type} ${error.requestID?.slice(0, 4)}`
    }
}

async function aborted() {
    const stream = client.messages.stream({ ...ask('endless'), tools })
    try {
        for await (const event of stream) if (event.type === 'content_block_delta') stream.abort()
        return 'ended'
    } catch (error) {
        return error.constructor.name
    }
}

async function run_tools() {
    const asked = []
    const weather = betaTool({ name: 'weather', description: 'Tells the weather', inputSchema: schema,
        run: (input) => { asked.push(input); return '22 degrees #plain' } })
    const last = await client.beta.messages.toolRunner({ ...ask('one'), tools: [weather] })
    return { asked, said: last.content[0].text }
}

const names = []
for await (const one of client.models.list({ limit: 1 })) names.push(one.id)
console.log(JSON.stringify({
    whole: without_ids(await client.messages.create({ ...ask('two'), tools })),
    streamed: await streamed({ ...ask('two'), tools }),
    thought: await streamed({ ...ask('thought'), model: thinker, thinking: { type: 'enabled', budget_tokens: 1024 } }),
    counted: (await client.messages.countTokens({ model, messages: ask('one').messages, tools })).input_tokens,
    ran: await run_tools(),
    names,
    retrieved: (await client.models.retrieve(model)).id,
    unknown: await error_of(client.messages.create({ ...ask('one'), model: 'nobody' })),
    wrong: await error_of(client.messages.create({ ...ask('one'), max_tokens: undefined })),
    aborted: await aborted(),
}))

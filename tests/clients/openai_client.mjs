// What a program that uses OpenAI's client for JavaScript does with the Responses API. Prints one JSON object.
import OpenAI from 'openai'

const [url, model] = process.argv.slice(2)
const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0 })
const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city'], additionalProperties: false }
const tools = [{ type: 'function', name: 'weather', description: 'Tells the weather', parameters, strict: true }]
const usual = { model, temperature: 0 }

async function error_of(promise) {
    try {
        await promise
        return ''
    } catch (error) {
        return `${error.status} ${error.param}`
    }
}

async function streamed() {
    const stream = client.responses.stream({ ...usual, input: 'Please #one', tools })
    const seen = { deltas: '', numbers: [], types: [] }
    stream.on('response.function_call_arguments.delta', (event) => (seen.deltas += event.delta))
    for await (const event of stream) {
        seen.numbers.push(event.sequence_number)
        seen.types.push(event.type)
    }
    const final = await stream.finalResponse()
    return { ...seen, call: final.output[0].arguments, whole: seen.numbers.every((number, at) => number === at) }
}

async function background() {
    const begun = await client.responses.create({ ...usual, input: 'Please #plain', background: true, stream: true })
    let id, last
    for await (const event of begun) {
        id ??= event.response.id
        last = event
    }
    const again = []
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 2 })) {
        again.push(event.sequence_number)
    }
    return { status: last.response.status, again: again[0], cancelled: (await client.responses.cancel(id)).status }
}

const made = await client.responses.create({ ...usual, input: 'Please #plain', metadata: { a: 'b' } })
const next = await client.responses.create({ ...usual, input: 'Please #again', previous_response_id: made.id })
const items = []
for await (const item of client.responses.inputItems.list(next.id, { limit: 1, order: 'asc' })) items.push(item.type)
const text = { format: { type: 'json_schema', name: 'person', strict: true, schema: { type: 'object',
    properties: { name: { type: 'string' }, age: { type: 'integer' } }, required: ['name', 'age'],
    additionalProperties: false } } }
const report = {
    text: made.output_text,
    next: next.output_text,
    kept: (await client.responses.retrieve(made.id)).metadata,
    items,
    parsed: (await client.responses.parse({ ...usual, input: 'Please #person', text })).output_parsed,
    streamed: await streamed(),
    background: await background(),
    counted: (await client.responses.inputTokens.count({ model, input: 'Please #plain' })).input_tokens,
    used: made.usage.input_tokens,
    refused: await error_of(client.responses.create({ ...usual, input: 'x', tools: [{ type: 'web_search' }] })),
}
await client.responses.delete(made.id)
report.gone = await error_of(client.responses.retrieve(made.id))
console.log(JSON.stringify(report))

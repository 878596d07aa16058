// What a program that uses the Vercel AI SDK does, whose OpenAI provider speaks the Responses API. Prints one JSON object.
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const [url, model, thinker] = process.argv.slice(2)
const provider = createOpenAI({ baseURL: url + '/v1', apiKey: 'none' })
const asked = []
const weather = tool({
    description: 'Tells the weather',
    inputSchema: z.object({ city: z.string(), days: z.number().optional() }),
    execute: async (input) => {
        asked.push(input)
        return 'It rains. #plain'
    },
})
const usual = { prompt: 'Please #one', tools: { weather }, temperature: 0, stopWhen: stepCountIs(4) }

const looped = await generateText({ ...usual, model: provider.responses(model) })
// Nothing is stored: the whole conversation is sent again.
const stateless = streamText({ ...usual, model: provider.responses(model), providerOptions: { openai: { store: false } } })
let streamed = ''
for await (const delta of stateless.textStream) streamed += delta
const thoughtful = await generateText({
    model: provider.responses(thinker), prompt: 'Please #thought', providerOptions: { openai: { store: false,
        include: ['reasoning.encrypted_content'], forceReasoning: true } } })
console.log(JSON.stringify({ looped: looped.text, steps: looped.steps.length, streamed,
    streamed_steps: (await stateless.steps).length, thoughtful: thoughtful.text, asked,
    used: looped.steps[0].usage.inputTokens }))

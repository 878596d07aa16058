import { signal, type Signal } from '@preact/signals';
import { ApiError, call, events, getJson, postJson } from './api';
import {
    branch, newConversation, newId, newestLeaf, toApi, withMessage,
    type Conversation, type Figures, type Message, type Options, type ToolCall,
} from './chat_tree';
import * as store from './store';
import { texts } from './texts';

/** What the chat view shows, and what its buttons do. */
export const conversations = signal<Conversation[]>([]);
export const current = signal<Conversation>(newConversation('', {}));
export const models = signal<string[]>([]);
export const modelsError = signal('');
/** Models that take pictures, as far as anybody asked. */
export const takesImages = signal<Record<string, boolean>>({});
/** Answers that are being written, by the id of their message. */
export const live = signal<Record<string, Live>>({});
/** Said by screen readers: whole sentences of the answer that is shown. */
export const announcement = signal('');

export interface Live {
    conversation: string;
    message: Signal<Message>;
    begun: number;
    stop: AbortController;
}

const kFlushMs = 66;
const kSaveMs = 1000;

export async function start(): Promise<void> {
    const all = await store.loadAll();
    all.sort((a, b) => b.updated - a.updated);
    for (const one of all) closeOpen(one);
    conversations.value = all;
    const shown = all.find((one) => one.id === sessionStorage.getItem('sutazai.shown'));
    if (shown) current.value = shown;
}

/** The page went away while these were written. */
function closeOpen(of: Conversation): void {
    for (const message of Object.values(of.messages)) {
        if (!message.open) continue;
        message.open = false;
        message.error ||= texts.cutOff;
    }
}

export async function loadModels(): Promise<void> {
    try {
        const list = await getJson<{ data: { id: string }[] }>('v1/models');
        models.value = list.data.map((one) => one.id);
        modelsError.value = '';
        const chosen = current.value.model || localStorage.getItem('sutazai.model') || '';
        const model = models.value.includes(chosen) ? chosen : models.value[0] ?? '';
        if (model !== current.value.model) current.value = { ...current.value, model };
        if (model) void askAbilities(model);
    } catch (error) {
        modelsError.value = wordsOf(error);
    }
}

export async function askAbilities(model: string): Promise<void> {
    if (model in takesImages.value) return;
    try {
        const shown = await postJson<{ capabilities?: string[] }>('api/show', { model });
        takesImages.value = { ...takesImages.value, [model]: shown.capabilities?.includes('vision') ?? false };
    } catch {
        // Then it is not offered.
    }
}

export const wordsOf = (error: unknown) =>
    error instanceof ApiError ? error.message : error instanceof TypeError ? texts.unreachable : String(error);

// --- conversations

export function put(conversation: Conversation): void {
    if (current.value.id === conversation.id) current.value = conversation;
    const others = conversations.value.filter((one) => one.id !== conversation.id);
    conversations.value = [conversation, ...others].sort((a, b) => b.updated - a.updated);
    void store.save(conversation);
}

export function show(id: string): void {
    const found = conversations.value.find((one) => one.id === id);
    if (!found) return;
    current.value = found;
    sessionStorage.setItem('sutazai.shown', id);
}

export function startNew(): void {
    const { model, options } = current.value;
    current.value = newConversation(model, { ...options });
    sessionStorage.removeItem('sutazai.shown');
}

export function removeConversation(id: string): void {
    for (const one of Object.values(live.value)) if (one.conversation === id) one.stop.abort();
    conversations.value = conversations.value.filter((one) => one.id !== id);
    void store.remove(id);
    if (current.value.id === id) startNew();
}

export function rename(id: string, title: string): void {
    const found = conversations.value.find((one) => one.id === id);
    if (found && title.trim()) put({ ...found, title: title.trim() });
}

/** A setting of the conversation that is shown. One without messages is not kept yet. */
export function change(what: Partial<Pick<Conversation, 'model' | 'options'>>): void {
    const changed = { ...current.value, ...what };
    if (what.model) {
        localStorage.setItem('sutazai.model', what.model);
        void askAbilities(what.model);
    }
    if (changed.leaf) put(changed);
    else current.value = changed;
}

export function showBranch(id: string): void {
    put({ ...current.value, leaf: newestLeaf(current.value, id) });
}

export function importAll(all: Conversation[]): void {
    for (const one of all) put(one);
    if (all.length) show(all[0].id);
}

// --- asking

/** A new message of the user below the leaf, or in place of one whose `parent` is given, and the answer to it. */
export function send(content: string, images: string[], parent = current.value.leaf): void {
    const message: Message = { id: newId(), parent, role: 'user', at: Date.now(), content };
    if (images.length) message.images = images;
    put(withMessage(current.value, message));
    sessionStorage.setItem('sutazai.shown', current.value.id);
    answer(message.id);
}

/** Results of tool calls, and what the model says to them. */
export function sendResults(results: { id: string; content: string }[], parent: string): void {
    let below = parent;
    for (const { id, content } of results) {
        const message: Message = { id: newId(), parent: below, role: 'tool', at: Date.now(), content, toolCallId: id };
        put(withMessage(current.value, message));
        below = message.id;
    }
    answer(below);
}

/** One more answer to what an answer was given to. */
export function regenerate(message: Message): void {
    if (message.parent !== null) answer(message.parent);
}

export function liveOf(conversation: string): Live | undefined {
    return Object.values(live.value).find((one) => one.conversation === conversation);
}

export function stop(): void {
    liveOf(current.value.id)?.stop.abort();
}

function bodyOf(of: Conversation, parent: string): Record<string, unknown> {
    const { system, sampling, stop: ends, effort, tools, more } = of.options;
    const body: Record<string, unknown> = {
        model: of.model, messages: toApi(branch(of, parent), system), stream: true,
        stream_options: { include_usage: true }, ...sampling,
    };
    const list = ends?.split('\n').filter((one) => one);
    if (list?.length) body.stop = list;
    if (effort) body.reasoning_effort = effort;
    if (tools?.trim()) body.tools = JSON.parse(tools);
    if (more?.trim()) Object.assign(body, JSON.parse(more));
    return body;
}

function answer(parent: string): void {
    const of = current.value;
    const message: Message = {
        id: newId(), parent, role: 'assistant', at: Date.now(), content: '', model: of.model, open: true,
    };
    const one: Live = { conversation: of.id, message: signal(message), begun: performance.now(), stop: new AbortController() };
    live.value = { ...live.value, [message.id]: one };
    put(withMessage(of, message));
    void read(one, of).finally(() => {
        const { [message.id]: _, ...others } = live.value;
        const whole = conversations.value.find((each) => each.id === of.id);
        const done = { ...one.message.value, open: false };
        if (whole) put({ ...whole, messages: { ...whole.messages, [done.id]: done } });
        if (current.value.id === of.id) announcement.value = done.error || sentencesOf(done.content, Infinity);
        live.value = others;
    });
}

interface Chunk {
    choices?: {
        delta?: {
            content?: string | null;
            reasoning_content?: string;
            tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[];
        };
        finish_reason?: string | null;
    }[];
    usage?: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details?: { cached_tokens?: number } } | null;
    timings?: { load_ms?: number; queue_ms?: number; prompt_ms?: number; predicted_ms?: number };
    error?: { message?: string };
}

/** Reads one answer into its message: at once for the first token, then at most 15 times a second. */
async function read(one: Live, of: Conversation): Promise<void> {
    let next = { ...one.message.value };
    let flushed = 0;
    let timer = 0;
    let saved = performance.now();
    let ended = false;
    const figures: Figures = {};
    const flush = () => {
        clearTimeout(timer);
        timer = 0;
        flushed = performance.now();
        one.message.value = next = { ...next, figures: { ...figures } };
        if (current.value.id === of.id) announcement.value = sentencesOf(next.content, 200);
        if (flushed - saved > kSaveMs) {
            saved = flushed;
            const whole = conversations.value.find((each) => each.id === of.id);
            if (whole) void store.save({ ...whole, messages: { ...whole.messages, [next.id]: next } });
        }
    };
    try {
        const body = bodyOf(of, next.parent!);
        const response = await call('v1/chat/completions', { method: 'POST', json: body, signal: one.stop.signal });
        for await (const data of events(response)) {
            if (data === '[DONE]') {
                ended = true;
                break;
            }
            const chunk = JSON.parse(data) as Chunk;
            if (chunk.error) throw new ApiError(200, chunk.error.message ?? texts.brokeOff);
            addChunk(next, figures, chunk, performance.now() - one.begun);
            if (figures.ttft !== undefined && performance.now() - flushed > kFlushMs) flush();
            else timer ||= window.setTimeout(flush, kFlushMs);
        }
        if (!ended) next.error = texts.brokeOff;
    } catch (error) {
        if (one.stop.signal.aborted) next.finish = 'stopped';
        else next.error = error instanceof TypeError && next.content ? texts.brokeOff : wordsOf(error);
    }
    figures.total = performance.now() - one.begun;
    flush();
}

function addChunk(to: Message, figures: Figures, chunk: Chunk, now: number): void {
    const choice = chunk.choices?.[0];
    const delta = choice?.delta;
    if (delta && (delta.content || delta.reasoning_content || delta.tool_calls)) figures.ttft ??= now;
    if (delta?.content) to.content += delta.content;
    if (delta?.reasoning_content) to.reasoning = (to.reasoning ?? '') + delta.reasoning_content;
    for (const call of delta?.tool_calls ?? []) {
        const calls: ToolCall[] = to.toolCalls ? [...to.toolCalls] : [];
        const before = calls[call.index] ?? { id: '', name: '', arguments: '' };
        calls[call.index] = {
            id: call.id ?? before.id, name: before.name + (call.function?.name ?? ''),
            arguments: before.arguments + (call.function?.arguments ?? ''),
        };
        to.toolCalls = calls;
    }
    if (choice?.finish_reason) to.finish = choice.finish_reason;
    if (chunk.usage) {
        figures.promptTokens = chunk.usage.prompt_tokens;
        figures.completionTokens = chunk.usage.completion_tokens;
        figures.cachedTokens = chunk.usage.prompt_tokens_details?.cached_tokens ?? 0;
    }
    if (chunk.timings && figures.ttft !== undefined) {
        const { load_ms: load = 0, queue_ms: queue = 0, prompt_ms: prefill = 0, predicted_ms } = chunk.timings;
        figures.decode = predicted_ms;
        figures.parts = { load, queue, prefill, delivery: Math.max(0, figures.ttft - load - queue - prefill) };
    }
}

/** Up to the end of the last whole sentence, and no more than its last `most` characters. */
function sentencesOf(text: string, most: number): string {
    const end = most === Infinity ? text.length : Math.max(...['. ', '! ', '? ', '\n'].map((mark) => text.lastIndexOf(mark))) + 1;
    return text.slice(Math.max(0, end - Math.min(most, 2000)), end);
}

export function setOptions(options: Options): void {
    change({ options });
}

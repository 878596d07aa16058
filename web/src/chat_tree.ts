/** A conversation is a tree of messages. `leaf` is where the branch that is shown ends. Plain data and pure functions. */
export type Role = 'user' | 'assistant' | 'tool';

export interface ToolCall {
    id: string;
    name: string;
    arguments: string;
}

/** Times in milliseconds. The server's parts of the time to the first token, where it tells them. */
export interface Figures {
    promptTokens?: number;
    cachedTokens?: number;
    completionTokens?: number;
    ttft?: number;
    total?: number;
    decode?: number;
    parts?: { load: number; queue: number; prefill: number; delivery: number };
}

export interface Message {
    id: string;
    parent: string | null;
    role: Role;
    at: number;
    content: string;
    images?: string[];
    reasoning?: string;
    toolCalls?: ToolCall[];
    toolCallId?: string;
    model?: string;
    figures?: Figures;
    finish?: string;
    error?: string;
    /** It is still being written, or was when the page went away. */
    open?: boolean;
}

/** Fields of a request; what is left out is the server's to choose. */
export interface Options {
    system?: string;
    sampling?: Record<string, number>;
    stop?: string;
    effort?: string;
    tools?: string;
    more?: string;
}

export interface Conversation {
    id: string;
    title: string;
    created: number;
    updated: number;
    model: string;
    options: Options;
    messages: Record<string, Message>;
    leaf: string | null;
}

export function newId(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function newConversation(model: string, options: Options): Conversation {
    const now = Date.now();
    return { id: newId(), title: '', created: now, updated: now, model, options, messages: {}, leaf: null };
}

/** From the first message to the leaf. */
export function branch(of: Conversation, leaf: string | null = of.leaf): Message[] {
    const out: Message[] = [];
    for (let at = leaf; at !== null; at = of.messages[at]?.parent ?? null) {
        const message = of.messages[at];
        if (!message) break;
        out.push(message);
    }
    return out.reverse();
}

export function childrenOf(of: Conversation, parent: string | null): Message[] {
    return Object.values(of.messages).filter((one) => one.parent === parent).sort((a, b) => a.at - b.at);
}

/** The newest end below a message. */
export function newestLeaf(of: Conversation, from: string): string {
    for (;;) {
        const children = childrenOf(of, from);
        if (children.length === 0) return from;
        from = children[children.length - 1].id;
    }
}

export function withMessage(of: Conversation, message: Message, isLeaf = true): Conversation {
    const now = Date.now();
    const messages = { ...of.messages, [message.id]: message };
    const title = of.title || titleOf(message);
    return { ...of, messages, title, updated: now, leaf: isLeaf ? message.id : of.leaf };
}

function titleOf(message: Message): string {
    if (message.role !== 'user') return '';
    const line = message.content.trim().split('\n')[0];
    return line.length > 60 ? `${line.slice(0, 57)}…` : line;
}

/** What the API is sent. */
export function toApi(messages: Message[], system: string | undefined): unknown[] {
    const out: unknown[] = [];
    if (system?.trim()) out.push({ role: 'system', content: system });
    for (const one of messages) {
        if (one.role === 'user' && one.images?.length) {
            const images = one.images.map((url) => ({ type: 'image_url', image_url: { url } }));
            out.push({ role: 'user', content: [...images, { type: 'text', text: one.content }] });
        } else if (one.role === 'tool') {
            out.push({ role: 'tool', tool_call_id: one.toolCallId, content: one.content });
        } else if (one.role === 'assistant' && one.toolCalls?.length) {
            const calls = one.toolCalls.map(({ id, name, arguments: text }) =>
                ({ id, type: 'function', function: { name, arguments: text } }));
            out.push({ role: 'assistant', content: one.content || null, tool_calls: calls });
        } else {
            out.push({ role: one.role, content: one.content });
        }
    }
    return out;
}

/** What an export file holds, checked: throws where it is none. */
export function fromExport(text: string): Conversation[] {
    const file = JSON.parse(text) as { format?: string; conversations?: unknown };
    if (file?.format !== 'sutazai-chats-1' || !Array.isArray(file.conversations)) throw new Error('format');
    return file.conversations.map((each: Conversation) => {
        const messages: Record<string, Message> = {};
        for (const one of Object.values(each.messages ?? {})) {
            if (!['user', 'assistant', 'tool'].includes(one.role) || typeof one.content !== 'string') {
                throw new Error('message');
            }
            const images = one.images?.filter((url) => url.startsWith('data:image/'));
            messages[String(one.id)] = { ...one, images, id: String(one.id), open: false };
        }
        const now = Date.now();
        return {
            id: newId(), title: String(each.title ?? ''), created: Number(each.created) || now, updated: now,
            model: String(each.model ?? ''), options: each.options ?? {}, messages,
            leaf: each.leaf && messages[each.leaf] ? each.leaf : null,
        };
    });
}

export function toExport(conversations: Conversation[]): string {
    return JSON.stringify({ format: 'sutazai-chats-1', conversations }, null, 1);
}

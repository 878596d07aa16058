import { signal } from '@preact/signals';

/** Why a key is asked for. */
export type KeyState = 'fine' | 'missing' | 'wrong' | 'asked';
export const keyState = signal<KeyState>('fine');
/** Goes up when another key is used, so that what was refused is asked again. */
export const keyVersion = signal(0);

const kKey = 'sutazai.key';

function storedKey(): string {
    return sessionStorage.getItem(kKey) ?? localStorage.getItem(kKey) ?? '';
}

export function useKey(key: string, remember: boolean): void {
    forgetKey();
    if (key) (remember ? localStorage : sessionStorage).setItem(kKey, key);
    keyState.value = 'fine';
    keyVersion.value++;
}

export function forgetKey(): void {
    sessionStorage.removeItem(kKey);
    localStorage.removeItem(kKey);
}

export const hasKey = () => storedKey() !== '';

export class ApiError extends Error {
    constructor(readonly status: number, message: string) {
        super(message);
    }
}

/** Errors of all API families: {"error": {"message"}}, {"error": "…"}, {"detail": "…"}. */
function messageOf(body: unknown, status: number): string {
    const of = body as { error?: { message?: string } | string; detail?: string; message?: string } | null;
    if (typeof of?.error === 'string') return of.error;
    return of?.error?.message ?? of?.detail ?? of?.message ?? `HTTP ${status}`;
}

/** Relative paths only, so that the page works below any prefix. Throws ApiError for what is no success. */
export async function call(path: string, init: RequestInit & { json?: unknown } = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const key = storedKey();
    if (key) headers.set('Authorization', `Bearer ${key}`);
    if (init.json !== undefined) headers.set('Content-Type', 'application/json');
    const body = init.json === undefined ? init.body : JSON.stringify(init.json);
    const response = await fetch(path, { ...init, headers, body, cache: 'no-store', credentials: 'same-origin' });
    if (response.ok) return response;
    // Another key may have been given meanwhile.
    if (response.status === 401 && key === storedKey()) keyState.value = key ? 'wrong' : 'missing';
    const answer: unknown = await response.json().catch(() => null);
    throw new ApiError(response.status, messageOf(answer, response.status));
}

export async function getJson<T>(path: string): Promise<T> {
    return (await call(path)).json() as Promise<T>;
}

export async function postJson<T>(path: string, json: unknown): Promise<T> {
    return (await call(path, { method: 'POST', json })).json() as Promise<T>;
}

async function* lines(response: Response): AsyncGenerator<string> {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            const parts = (rest + value).split('\n');
            rest = parts.pop()!;
            yield* parts;
        }
        if (rest) yield rest;
    } finally {
        reader.cancel().catch(() => {});
    }
}

/** The data of server-sent events, one line each. */
export async function* events(response: Response): AsyncGenerator<string> {
    for await (const line of lines(response)) {
        if (line.startsWith('data: ')) yield line.slice(6);
    }
}

/** The objects of a body with one a line. */
export async function* objects<T>(response: Response): AsyncGenerator<T> {
    for await (const line of lines(response)) {
        if (line.trim()) yield JSON.parse(line) as T;
    }
}

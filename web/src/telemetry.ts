import { signal } from '@preact/signals';
import { ApiError, call, objects } from './api';

/** One model, as the server tells of it (docs/page.md). */
export interface ModelNow {
    name: string;
    alias_of: string | null;
    state: 'cold' | 'loading' | 'warming' | 'warm' | 'draining' | 'failed' | 'remote' | 'unreachable';
    load_progress: number;
    bytes_expected: number;
    bytes_measured: number;
    estimate: { weights: number; kv: number; compute: number; process: number };
    requests: number;
    found_warm: number;
    in_use: number;
    waiting: number;
    load_ms: number;
    last_used: string | null;
    pinned: boolean;
    unload_at: string | null;
    prefixes: number;
    prompt_tokens: number;
    cached_tokens: number;
    crashes: number;
    last_crash: string | null;
    artifacts: { count: number; bytes: number; restored_tokens: number };
    file_note: string | null;
    last_error: string | null;
    remote: { upstream: string | null; kind: string } | null;
    engine: {
        running: number; waiting: number; batch_width: number; kv_cells: number; kv_cells_used: number; host_bytes: number;
        generation_tokens: number; host_restored_tokens: number; preemptions: number; steps: number; step_us: number;
    };
}

export interface Machine {
    places: number;
    bytes: number | null;
    standby_engines: number[];
}

interface Frame {
    type: 'snapshot' | 'delta';
    at: number;
    machine?: Machine;
    models: ModelNow[];
    gone?: string[];
}

/** 'stale': it was live, and the server is not heard any more. */
export type LinkState = 'off' | 'connecting' | 'live' | 'stale' | 'refused';
export const link = signal<LinkState>('off');
export const linkError = signal('');
/** performance.now() of the last frame. */
export const heard = signal(0);
export const modelsNow = signal<ReadonlyMap<string, ModelNow>>(new Map());
export const machine = signal<Machine | null>(null);

/** What the charts are drawn of: columns of one point a second, over all models. Times in Unix seconds. */
export interface History {
    at: number[];
    generated: number[];
    prompt: number[];
    running: number[];
    width: number[];
    waiting: number[];
    step: (number | null)[];
    kv: number[];
}
const emptyHistory = (): History => ({ at: [], generated: [], prompt: [], running: [], width: [], waiting: [], step: [], kv: [] });
export const history = signal<History>(emptyHistory());

/** A model's states over time. */
export interface Span {
    from: number;
    state: string; // a ModelNow state, or 'busy'
}
export const lanes = signal<ReadonlyMap<string, Span[]>>(new Map());
export const kKeptSeconds = 900;

interface Sums {
    at: number;
    generated: number;
    prompt: number;
    steps: number;
    stepUs: number;
}
let before: Sums | null = null;

const isCounted = (model: ModelNow) => model.alias_of === null;

function sumUp(at: number): Sums {
    const sums = { at, generated: 0, prompt: 0, steps: 0, stepUs: 0 };
    for (const model of modelsNow.value.values()) {
        if (!isCounted(model)) continue;
        sums.generated += model.engine.generation_tokens;
        sums.prompt += model.prompt_tokens - model.cached_tokens;
        sums.steps += model.engine.steps;
        sums.stepUs += model.engine.step_us;
    }
    return sums;
}

function addPoint(at: number): void {
    const now = sumUp(at);
    if (before === null || now.generated < before.generated) {
        before = now;
        return;
    }
    const seconds = (now.at - before.at) / 1000;
    if (seconds < 0.95) return;
    const counted = [...modelsNow.value.values()].filter(isCounted);
    const sum = (of: (model: ModelNow) => number) => counted.reduce((total, model) => total + of(model), 0);
    const cells = sum((model) => model.engine.kv_cells);
    const point: { [name in keyof History]: number | null } = {
        at: now.at / 1000,
        generated: (now.generated - before.generated) / seconds,
        prompt: Math.max(0, now.prompt - before.prompt) / seconds,
        running: sum((model) => model.engine.running),
        width: sum((model) => model.state === 'warm' ? model.engine.batch_width : 0),
        waiting: sum((model) => model.engine.waiting + model.waiting),
        step: now.steps > before.steps ? (now.stepUs - before.stepUs) / (now.steps - before.steps) / 1000 : null,
        kv: cells > 0 ? sum((model) => model.engine.kv_cells_used) / cells * 100 : 0,
    };
    before = now;
    const next = { ...history.value };
    for (const name of Object.keys(next) as (keyof History)[]) {
        (next[name] as (number | null)[]) = [...next[name], point[name]].slice(-kKeptSeconds);
    }
    history.value = next;
}

function addStates(at: number): void {
    let changed = false;
    const next = new Map(lanes.value);
    const note = (name: string, state: string) => {
        const spans = next.get(name) ?? [];
        if (spans.length > 0 ? spans[spans.length - 1].state === state : state === 'cold') return;
        next.set(name, [...spans, { from: at, state }].slice(-500));
        changed = true;
    };
    for (const model of modelsNow.value.values()) {
        if (isCounted(model)) note(model.name, model.state === 'warm' && model.in_use > 0 ? 'busy' : model.state);
    }
    for (const name of next.keys()) if (!modelsNow.value.has(name)) note(name, 'cold');
    if (changed) lanes.value = next;
}

function take(frame: Frame): void {
    if (frame.machine) machine.value = frame.machine;
    if (frame.type === 'snapshot' || frame.models.length > 0 || frame.gone) {
        const all = frame.type === 'snapshot' ? new Map<string, ModelNow>() : new Map(modelsNow.value);
        for (const model of frame.models) all.set(model.name, model);
        for (const name of frame.gone ?? []) all.delete(name);
        modelsNow.value = all;
    }
    heard.value = performance.now();
    addStates(frame.at);
    addPoint(frame.at);
}

const kMostPauseMs = 4000;

/** Watches until the signal is aborted; goes on when the server comes back. */
export async function watch(signal_: AbortSignal): Promise<void> {
    for (let pause = 250; !signal_.aborted; pause = Math.min(kMostPauseMs, pause * 2)) {
        if (link.value === 'off') link.value = 'connecting';
        try {
            const response = await call('api/v1/streaming/telemetry', { signal: signal_ });
            for await (const frame of objects<Frame>(response)) {
                take(frame);
                link.value = 'live';
                linkError.value = '';
                pause = 250;
            }
        } catch (error) {
            if (signal_.aborted) break;
            if (error instanceof ApiError) linkError.value = error.message;
            if (error instanceof ApiError && [401, 403].includes(error.status)) {
                link.value = 'refused';
                return;
            }
        }
        before = null;
        if (link.value === 'live') link.value = 'stale';
        await new Promise((resolve) => setTimeout(resolve, pause));
    }
    before = null;
    link.value = 'off';
}

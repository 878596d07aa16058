import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { call, objects, postJson } from './api';
import { loadModels, models, wordsOf } from './chat';
import { ago, bytes, count, ms, percent } from './format';
import { Icon } from './icons';
import { modelsNow, type ModelNow } from './telemetry';
import { texts } from './texts';

/** What the last order has met. */
export const problem = signal('');

interface Outcome {
    success: boolean;
    results: { model: string; success: boolean; message: string }[];
}

async function order(action: string, model: string): Promise<void> {
    problem.value = '';
    try {
        const answer = await postJson<Outcome>('api/v1/streaming/cache/manage', { action, models: [model] });
        const failed = answer.results.find((one) => !one.success);
        if (failed) problem.value = `${failed.model}: ${failed.message}`;
    } catch (error) {
        problem.value = wordsOf(error);
    }
}

const kMemory = ['weights', 'kv', 'compute', 'process'] as const;

export function ModelRow({ model, most }: { model: ModelNow; most: number }) {
    const { engine } = model;
    const size = model.bytes_measured || (model.state === 'cold' ? 0 : model.bytes_expected);
    const isUp = ['warm', 'warming', 'loading'].includes(model.state);
    const isHere = model.remote === null;
    const busy = model.state === 'warm' && model.in_use > 0;
    const facts = [
        engine.running > 0 && texts.runs(engine.running, engine.batch_width),
        engine.waiting + model.waiting > 0 && texts.waits(engine.waiting + model.waiting),
        model.requests > 0 && texts.asked(count(model.requests), percent(model.found_warm, model.requests)),
        model.prompt_tokens > 0 && texts.fromCache(percent(model.cached_tokens, model.prompt_tokens)),
        model.prefixes > 0 && texts.prefixesKept(model.prefixes),
        model.artifacts.count > 0 && texts.artifactsKept(count(model.artifacts.count), bytes(model.artifacts.bytes)),
        model.load_ms > 0 && texts.loadedIn(ms(model.load_ms)),
        model.last_used && texts.lastUsed(ago(Date.parse(model.last_used), Date.now())),
        model.crashes > 0 && texts.crashed(model.crashes, model.last_crash ?? ''),
        model.remote && texts.elsewhere(model.remote.upstream ?? model.remote.kind),
        model.alias_of && texts.aliasOf(model.alias_of),
    ].filter((one) => one);
    return (
        <li class={`model-row ${busy ? 'busy' : model.state}`}>
            <div class="line">
                <span class="dot" aria-hidden="true" />
                <strong>{model.name}</strong>
                <span class="state">{busy ? texts.states.busy : texts.states[model.state]}
                    {model.state === 'loading' && ` ${Math.round(model.load_progress * 100)} %`}</span>
                {model.pinned && <span class="tag">{texts.pinned}</span>}
                <span class="grow" />
                {isHere && isUp && <button type="button" onClick={() => void order('evict', model.name)}>{texts.evict}</button>}
                {isHere && !isUp && <button type="button" onClick={() => void order('warmup', model.name)}>{texts.load}</button>}
                {isHere && <button type="button" class={model.pinned ? 'icon on' : 'icon'} aria-pressed={model.pinned} title={texts.pin}
                    aria-label={`${texts.pin}: ${model.name}`} onClick={() => void order(model.pinned ? 'unpin' : 'pin', model.name)}><Icon name="pin" /></button>}
            </div>
            {model.state === 'loading' && <progress value={model.load_progress} max={1} aria-label={texts.states.loading} />}
            {size > 0 && <MemoryBar model={model} size={size} most={most} />}
            <p class="facts">{facts.join(' · ')}</p>
            {(model.last_error || model.file_note) && <p class="bad">{[model.last_error, model.file_note].filter((one) => one).join(' · ')}</p>}
        </li>
    );
}

/** Parts as estimated from the file, drawn to the size that was measured. */
function MemoryBar({ model, size, most }: { model: ModelNow; size: number; most: number }) {
    const whole = kMemory.reduce((sum, part) => sum + model.estimate[part], 0) || 1;
    const words = kMemory.map((part) => `${texts.memory[part]} ${bytes(model.estimate[part] / whole * size)}`).join(', ');
    const used = model.engine.kv_cells > 0 ? ` · ${texts.kvMemory} ${percent(model.engine.kv_cells_used, model.engine.kv_cells)}` : '';
    let at = 0;
    return (
        <div class="memory">
            <svg viewBox="0 0 1000 8" preserveAspectRatio="none" role="img" aria-label={words}><title>{words}</title>
                {kMemory.map((part) => {
                    const width = model.estimate[part] / whole * size / (most || size) * 1000;
                    const from = at;
                    at += width;
                    return <rect class={`mem-${part}`} x={from} y="0" width={width} height="8" />;
                })}</svg>
            <span>{bytes(size)}{used}</span>
        </div>
    );
}

export function LoadModel() {
    const cold = models.value.filter((name) => !modelsNow.value.has(name) || modelsNow.value.get(name)!.state === 'cold');
    const [name, setName] = useState('');
    const chosen = cold.includes(name) ? name : cold[0] ?? '';
    if (cold.length === 0) return null;
    return (
        <form class="inline" onSubmit={(event) => { event.preventDefault(); if (chosen) void order('warmup', chosen); }}>
            <select aria-label={texts.coldModels} value={chosen} onChange={(event) => setName(event.currentTarget.value)}>
                {cold.map((one) => <option key={one} value={one}>{one}</option>)}</select>
            <button type="submit">{texts.load}</button>
        </form>
    );
}

interface PullLine {
    status?: string;
    digest?: string;
    total?: number;
    completed?: number;
    error?: string;
}

export function PullModel() {
    const [name, setName] = useState('');
    const [line, setLine] = useState<PullLine | null>(null);
    const [stop, setStop] = useState<AbortController | null>(null);
    const pull = async (event: Event) => {
        event.preventDefault();
        if (!name.trim() || stop) return;
        const control = new AbortController();
        setStop(control);
        problem.value = '';
        try {
            const response = await call('api/pull', { method: 'POST', json: { model: name.trim() }, signal: control.signal });
            for await (const one of objects<PullLine>(response)) {
                if (one.error) throw new Error(one.error);
                setLine(one);
            }
            await loadModels();
        } catch (error) {
            if (!control.signal.aborted) problem.value = `${name}: ${error instanceof Error ? error.message : wordsOf(error)}`;
            setLine(null);
        }
        setStop(null);
    };
    return (
        <form class="inline" onSubmit={pull}>
            <input aria-label={texts.pullName} value={name} placeholder={texts.pullName} size={24} onInput={(event) => setName(event.currentTarget.value)} />
            {stop ? <button type="button" onClick={() => stop.abort()}>{texts.cancel}</button> : <button type="submit" disabled={!name.trim()}>{texts.pull}</button>}
            {line && <span class="pull" role="status">{line.status}{line.total ? ` ${percent(line.completed ?? 0, line.total)} ${texts.of} ${bytes(line.total)}` : ''}</span>}
        </form>
    );
}

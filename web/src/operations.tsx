import { useEffect } from 'preact/hooks';
import { keyVersion } from './api';
import { Chart } from './chart';
import { ago } from './format';
import { Lanes } from './lanes';
import { LoadModel, ModelRow, PullModel, problem } from './models_panel';
import { heard, history, link, linkError, machine, modelsNow, watch } from './telemetry';
import { texts } from './texts';

/** Watches while it is seen: what nobody looks at costs the server nothing. */
export function OperationsView() {
    const version = keyVersion.value;
    useEffect(() => {
        let stop = new AbortController();
        const look = () => {
            stop.abort();
            stop = new AbortController();
            if (!document.hidden) void watch(stop.signal);
        };
        look();
        document.addEventListener('visibilitychange', look);
        return () => {
            document.removeEventListener('visibilitychange', look);
            stop.abort();
        };
    }, [version]);
    const state = link.value;
    return (
        <main class="operations">
            <h2 class="hidden">{texts.operations}</h2>
            <Status />
            {problem.value && <p class="bad" role="alert">{problem.value}</p>}
            <div class={state === 'stale' ? 'stale' : ''}>
                <Models />
                <Charts />
                <Lanes />
            </div>
        </main>
    );
}

function Status() {
    const state = link.value;
    const all = [...modelsNow.value.values()].filter((model) => model.alias_of === null);
    const warm = all.filter((model) => model.state === 'warm').length;
    const running = all.reduce((sum, model) => sum + model.engine.running, 0);
    const waiting = all.reduce((sum, model) => sum + model.engine.waiting + model.waiting, 0);
    const failed = all.filter((model) => model.state === 'failed' || model.state === 'unreachable');
    const words = {
        off: texts.connecting, connecting: texts.connecting, refused: linkError.value,
        stale: texts.stale(ago(heard.value, performance.now())),
        live: texts.now(warm, machine.value?.places ?? 0, running, waiting),
    }[state];
    return (
        <p class={`status ${state}`} role="status"><span class="dot" aria-hidden="true" />{words}
            {state === 'live' && failed.length > 0 && <span class="bad">{texts.failed(failed.map((model) => model.name).join(', '))}</span>}</p>
    );
}

const kOrder = ['warm', 'warming', 'loading', 'draining', 'failed', 'unreachable', 'remote', 'cold'];

function Models() {
    const all = [...modelsNow.value.values()].sort((a, b) =>
        kOrder.indexOf(a.state) - kOrder.indexOf(b.state) || a.name.localeCompare(b.name));
    // All bars on one scale: that of the machine, or of the largest model where that would leave nothing to see.
    const largest = Math.max(0, ...all.map((model) => model.bytes_measured || model.bytes_expected));
    const most = Math.max(largest, Math.min(machine.value?.bytes ?? Infinity, 4 * largest));
    return (
        <section aria-labelledby="models-title">
            <div class="head"><h3 id="models-title">{texts.models}</h3><span class="grow" /><LoadModel /><PullModel /></div>
            {all.length === 0 && <p class="hint">{link.value === 'live' ? texts.noneWarm : texts.connecting}</p>}
            <ul class="models">{all.map((model) => <ModelRow key={model.name} model={model} most={most} />)}</ul>
        </section>
    );
}

function Charts() {
    const { at, generated, prompt, running, width, waiting, step, kv } = history.value;
    return (
        <section aria-labelledby="charts-title" class="charts">
            <h3 id="charts-title">{texts.overTime}</h3>
            <div class="chart-grid">
                <Chart title={texts.tokenRates} unit={texts.rate} at={at} lines={[
                    { name: texts.generated, color: '--p3', values: generated, fill: true },
                    { name: texts.computed, color: '--p5', values: prompt }]} />
                <Chart title={texts.batch} unit={texts.requests} at={at} lines={[
                    { name: texts.running, color: '--p3', values: running, fill: true },
                    { name: texts.widthNow, color: '--p4', values: width },
                    { name: texts.waitingNow, color: '--p2', values: waiting }]} />
                <Chart title={texts.stepTime} unit="ms" at={at} lines={[{ name: texts.perStep, color: '--p1', values: step }]} />
                <Chart title={texts.kvMemory} unit="%" at={at} lines={[{ name: texts.inUse, color: '--p5', values: kv, fill: true }]} />
            </div>
        </section>
    );
}

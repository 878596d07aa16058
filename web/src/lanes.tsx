import { lanes, heard, link, type Span } from './telemetry';
import { ago } from './format';
import { texts } from './texts';

const kShownMs = 600_000;

/** The warm set over time: a lane a model, and in words who went when another came. */
export function Lanes() {
    heard.value; // time goes on with each frame
    const all = [...lanes.value].filter(([, spans]) => spans.some((span) => span.state !== 'cold'));
    if (all.length === 0) return null;
    const now = Date.now();
    const begin = Math.max(now - kShownMs, Math.min(...all.map(([, spans]) => spans[0].from)));
    const width = Math.max(1, now - begin);
    return (
        <section aria-labelledby="lanes-title">
            <div class="head"><h3 id="lanes-title">{texts.warmSet}</h3><span class="grow" />
                {(['busy', 'warm', 'loading', 'draining'] as const).map((state) =>
                    <span class="key"><i class={`lane-${state}`} aria-hidden="true" />{texts.states[state]}</span>)}
                <span class="unit">{texts.last(ago(begin, now))}</span></div>
            <div class={link.value === 'live' ? 'lanes' : 'lanes stale'}>
                {all.map(([name, spans]) => <Lane key={name} name={name} spans={spans} begin={begin} width={width} now={now} />)}
            </div>
            <Changes now={now} />
        </section>
    );
}

function Lane({ name, spans, begin, width, now }: { name: string; spans: Span[]; begin: number; width: number; now: number }) {
    const x = (at: number) => Math.max(0, (at - begin) / width * 1000);
    const last = spans[spans.length - 1];
    const words = `${name}: ${texts.states[last.state]}, ${texts.since(ago(last.from, now))}`;
    return (
        <div class="lane"><span>{name}</span>
            <svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label={words}>
                {spans.map((span, at) => {
                    const to = spans[at + 1]?.from ?? now;
                    if (to < begin || span.state === 'cold') return null;
                    const from = x(span.from);
                    return <rect class={`lane-${span.state}`} x={from} y="1" width={Math.max(1.5, x(to) - from)} height="12"><title>{texts.states[span.state]}</title></rect>;
                })}</svg></div>
    );
}

const kDown = ['cold', 'failed'];

/** The last that went, and who came up within five seconds of it. */
function Changes({ now }: { now: number }) {
    const kTogetherMs = 5000;
    const first = Math.min(...[...lanes.value.values()].map((spans) => spans[0].from));
    const comes = (spans: Span[], at: number) =>
        spans[at].from > first && !kDown.includes(spans[at].state) && (at === 0 || kDown.includes(spans[at - 1].state));
    const went: { at: number; name: string; reason: string }[] = [];
    for (const [name, spans] of lanes.value) {
        spans.forEach((span, at) => {
            if (at === 0 || !kDown.includes(span.state) || spans[at - 1].state === 'cold') return;
            const next = [...lanes.value].find(([other, theirs]) => other !== name && theirs.some((one, each) =>
                comes(theirs, each) && Math.abs(one.from - span.from) < kTogetherMs));
            const reason = span.state === 'failed' ? texts.engineFailed : next ? texts.madeRoomFor(next[0]) : texts.unloaded;
            went.push({ at: span.from, name, reason });
        });
    }
    went.sort((a, b) => b.at - a.at);
    if (went.length === 0) return null;
    return <ul class="changes">{went.slice(0, 5).map((one) =>
        <li><span>{texts.before(ago(one.at, now))}</span> <strong>{one.name}</strong> {one.reason}</li>)}</ul>;
}

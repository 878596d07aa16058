import type { Figures } from './chat_tree';
import { count, ms } from './format';
import { texts } from './texts';

/** Tokens after the first, over the time from the first to the last. */
function rate({ completionTokens = 0, ttft, total, decode }: Figures): number {
    // What came in one piece has no speed that could be seen from here.
    const seen = ttft !== undefined && total !== undefined && total - ttft > 100 ? total - ttft : 0;
    const over = decode ?? seen;
    return completionTokens > 1 && over > 0 ? (completionTokens - 1) / over * 1000 : 0;
}

export function FiguresLine({ figures }: { figures: Figures }) {
    const parts: string[] = [];
    const perSecond = rate(figures);
    if (figures.completionTokens !== undefined) parts.push(`${count(figures.completionTokens)} ${texts.tokens}`);
    if (perSecond > 0) parts.push(`${perSecond < 100 ? perSecond.toFixed(1) : Math.round(perSecond)} ${texts.rate}`);
    if (figures.ttft !== undefined) parts.push(`${texts.ttft} ${ms(figures.ttft)}`);
    if (figures.total !== undefined) parts.push(`${ms(figures.total)} ${texts.total}`);
    if (figures.promptTokens !== undefined) {
        const cached = figures.cachedTokens ? `, ${count(figures.cachedTokens)} ${texts.cached}` : '';
        parts.push(`${texts.prompt_} ${count(figures.promptTokens)}${cached}`);
    }
    if (parts.length === 0) return null;
    return (
        <div class="figures">
            <span>{parts.join(' · ')}</span>
            {figures.parts && <PartsBar parts={figures.parts} />}
        </div>
    );
}

const kParts = ['load', 'queue', 'prefill', 'delivery'] as const;

/** One bar: where the time to the first token went. Its words say the same. */
function PartsBar({ parts }: { parts: NonNullable<Figures['parts']> }) {
    const total = kParts.reduce((sum, name) => sum + parts[name], 0);
    const words = kParts.filter((name) => parts[name] > 0).map((name) => `${texts.parts[name]} ${ms(parts[name])}`).join(', ');
    let at = 0;
    return (
        <svg class="parts" viewBox="0 0 120 6" width="120" height="6" role="img" preserveAspectRatio="none" aria-label={`${texts.partsTitle}: ${words}`}>
            <title>{`${texts.partsTitle}: ${words}`}</title>
            {kParts.map((name) => {
                const width = total > 0 ? parts[name] / total * 120 : 0;
                const from = at;
                at += width;
                return <rect class={`part-${name}`} x={from} y="0" width={width} height="6" />;
            })}
        </svg>
    );
}

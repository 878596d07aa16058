import { useState } from 'preact/hooks';
import { change, current } from './chat';
import type { Options } from './chat_tree';
import { Icon } from './icons';
import { texts } from './texts';

/** Ranges as the API has them. */
const kSampling: [name: string, least: number, most: number, step: number][] = [
    ['temperature', 0, 2, 0.1], ['top_p', 0.01, 1, 0.01], ['top_k', 0, 10000, 1], ['min_p', 0, 1, 0.01],
    ['max_tokens', 1, 1_000_000, 1], ['seed', -1, Number.MAX_SAFE_INTEGER, 1], ['repeat_penalty', 0.01, 2, 0.01],
    ['presence_penalty', -2, 2, 0.1], ['frequency_penalty', -2, 2, 0.1],
];

const isKind = (text: string, isList: boolean) => {
    if (!text.trim()) return true;
    try {
        const value: unknown = JSON.parse(text);
        return typeof value === 'object' && value !== null && Array.isArray(value) === isList;
    } catch {
        return false;
    }
};

/** Settings of the conversation that is shown; a new one begins with those of the last. */
export function OptionsPanel({ onClose }: { onClose: () => void }) {
    const { options } = current.value;
    const set = (what: Partial<Options>) => change({ options: { ...current.value.options, ...what } });
    const setSampling = (name: string, text: string) => {
        const { [name]: _, ...others } = current.value.options.sampling ?? {};
        const value = Number(text);
        set({ sampling: text === '' || Number.isNaN(value) ? others : { ...others, [name]: value } });
    };
    return (
        <aside class="options" aria-label={texts.settings}>
            <div class="head"><h2>{texts.settings}</h2><span class="grow" />
                <button type="button" class="icon" aria-label={texts.close} onClick={onClose}><Icon name="cross" /></button></div>
            <label class="field">{texts.system}
                <textarea rows={4} value={options.system ?? ''} onInput={(event) => set({ system: event.currentTarget.value })} /></label>
            <div class="grid">
                {kSampling.map(([name, least, most, step]) => (
                    <label class="field">{texts.sampling[name]}
                        <input type="number" name={name} min={least} max={most} step={step} placeholder={texts.serverDefault}
                            value={options.sampling?.[name] ?? ''} onInput={(event) => setSampling(name, event.currentTarget.value)} /></label>))}
                <label class="field">{texts.effort}
                    <select value={options.effort ?? ''} onChange={(event) => set({ effort: event.currentTarget.value })}>
                        <option value="">{texts.asModel}</option>
                        {texts.efforts.map((one) => <option value={one}>{one}</option>)}
                    </select></label>
            </div>
            <label class="field">{texts.stops}
                <textarea rows={2} value={options.stop ?? ''} onInput={(event) => set({ stop: event.currentTarget.value })} /></label>
            <JsonField name={texts.tools} isList value={options.tools ?? ''} onChange={(tools) => set({ tools })} />
            <JsonField name={texts.more} isList={false} value={options.more ?? ''} onChange={(more) => set({ more })} />
        </aside>
    );
}

/** What is no JSON is shown as such and not used. */
function JsonField({ name, isList, value, onChange }: { name: string; isList: boolean; value: string; onChange: (text: string) => void }) {
    const [text, setText] = useState(value);
    const fine = isKind(text, isList);
    return (
        <label class="field">{name}
            <textarea rows={3} class="mono" value={text} aria-invalid={!fine}
                onInput={(event) => {
                    const now = event.currentTarget.value;
                    setText(now);
                    if (isKind(now, isList)) onChange(now);
                }} />
            {!fine && <span class="bad">{texts.notJson}</span>}</label>
    );
}

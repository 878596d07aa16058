import { announcement, change, current, live, liveOf, models, modelsError } from './chat';
import { useEffect, useRef, useState } from 'preact/hooks';
import { branch } from './chat_tree';
import { Composer } from './composer';
import { Icon } from './icons';
import { MessageView } from './message';
import { OptionsPanel } from './options';
import { Sidebar } from './sidebar';
import { texts } from './texts';

export function ChatView() {
    const [settings, setSettings] = useState(false);
    return (
        <main class="chat">
            <Sidebar />
            <section class="talk" aria-label={texts.chat}>
                <div class="talk-bar">
                    <ModelChoice />
                    <span class="grow" />
                    <button type="button" class={settings ? 'icon on' : 'icon'} aria-expanded={settings} title={texts.settings}
                        aria-label={texts.settings} onClick={() => setSettings(!settings)}><Icon name="settings" /></button>
                </div>
                <Log />
                <Composer />
                <div class="hidden" aria-live="polite">{announcement.value}</div>
            </section>
            {settings && <OptionsPanel key={current.value.id} onClose={() => setSettings(false)} />}
        </main>
    );
}

function ModelChoice() {
    const { model } = current.value;
    const all = models.value;
    return (
        <select class="model" aria-label={texts.model} value={model} onChange={(event) => change({ model: event.currentTarget.value })}>
            {!all.includes(model) && <option value={model}>{model || '–'}</option>}
            {all.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
    );
}

/** Follows the answer as long as the end is in sight. */
function Log() {
    const element = useRef<HTMLDivElement>(null);
    const follows = useRef(true);
    const shown = branch(current.value);
    const active = liveOf(current.value.id);
    // Read here so that a flush scrolls.
    active?.message.value;
    useEffect(() => {
        const log = element.current!;
        if (follows.current) log.scrollTop = log.scrollHeight;
    });
    useEffect(() => { follows.current = true; }, [current.value.id, shown.length]);
    const onScroll = () => {
        const log = element.current!;
        follows.current = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    };
    return (
        <div class="log" role="log" aria-live="off" aria-label={texts.log} tabIndex={0} ref={element} onScroll={onScroll}>
            {shown.length === 0 ? <Hello /> : <h2 class="hidden">{texts.log}</h2>}
            {shown.map((one) => <MessageView key={one.id} message={live.value[one.id]?.message.value ?? one}
                begun={live.value[one.id]?.begun} busy={active !== undefined} last={one === shown[shown.length - 1]} />)}
        </div>
    );
}

function Hello() {
    const problem = modelsError.value || (models.value.length === 0 && texts.noModels);
    return (
        <div class="hello">
            <h2>{texts.hello}</h2>
            <p>{problem || texts.helloHint}</p>
        </div>
    );
}

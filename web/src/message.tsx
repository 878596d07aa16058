import { useEffect, useState } from 'preact/hooks';
import { current, regenerate, send, sendResults, showBranch } from './chat';
import { childrenOf, type Message } from './chat_tree';
import { FiguresLine } from './figures';
import { Icon } from './icons';
import { Code, CopyButton, Markdown } from './markdown';
import { memo } from './memo';
import { texts } from './texts';

interface Props {
    message: Message;
    begun: number | undefined; // performance.now() of one that is being written
    busy: boolean; // an answer of this conversation is
    last: boolean;
}

export const MessageView = memo((props: Props) => {
    const { message } = props;
    return (
        <article class={`message ${message.role}`} aria-label={nameOf(message)}>
            {message.role === 'assistant' ? <Answer {...props} /> : message.role === 'tool' ? <Result {...props} /> : <Question {...props} />}
        </article>
    );
});

const nameOf = (message: Message) =>
    message.role === 'user' ? texts.you : message.role === 'tool' ? texts.toolResult : message.model || texts.model;

function Question({ message, busy }: Props) {
    const [editing, setEditing] = useState(false);
    if (editing) return <Editor message={message} onDone={() => setEditing(false)} />;
    return (
        <>
            <div class="bubble">
                {message.images && <div class="images">{message.images.map((url) => <img src={url} alt={texts.image} />)}</div>}
                <div class="pre">{message.content}</div>
            </div>
            <div class="tools">
                <Siblings message={message} />
                <button type="button" class="icon" title={texts.edit} aria-label={texts.edit} disabled={busy}
                    onClick={() => setEditing(true)}><Icon name="edit" /></button>
                <CopyButton text={message.content} />
            </div>
        </>
    );
}

function Editor({ message, onDone }: { message: Message; onDone: () => void }) {
    const [text, setText] = useState(message.content);
    const submit = (event: Event) => {
        event.preventDefault();
        if (!text.trim()) return;
        send(text, message.images ?? [], message.parent);
        onDone();
    };
    return (
        <form class="editor" onSubmit={submit}>
            <textarea rows={Math.min(12, text.split('\n').length + 1)} value={text} aria-label={texts.edit}
                ref={(element) => element?.focus()} onInput={(event) => setText(event.currentTarget.value)}
                onKeyDown={(event) => {
                    if (event.key === 'Escape') { event.stopPropagation(); onDone(); }
                    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
                }} />
            <p class="actions"><span class="grow" /><button type="button" onClick={onDone}>{texts.cancel}</button>
                <button type="submit" class="main">{texts.save}</button></p>
        </form>
    );
}

function Result({ message }: Props) {
    return <Code text={message.content} language={texts.toolResult} />;
}

function Answer({ message, begun, busy, last }: Props) {
    const writes = begun !== undefined;
    const begins = writes && !message.content && !message.reasoning && !message.toolCalls;
    return (
        <>
            <div class="by">{nameOf(message)}</div>
            {begins && <Waiting begun={begun} />}
            {message.reasoning && <Thoughts text={message.reasoning} open={writes && !message.content} />}
            {message.content && <Markdown text={message.content} />}
            {message.toolCalls?.map((call) => (
                <div class="call"><p>{texts.callsTool} <code>{call.name}</code></p><Code text={pretty(call.arguments)} language="json" /></div>))}
            {message.toolCalls && last && !busy && <Results message={message} />}
            {message.error && <p class="bad" role="alert">{message.error}</p>}
            {!writes && <Ending message={message} />}
            {!writes && message.figures && <FiguresLine figures={message.figures} />}
            {!writes && (
                <div class="tools">
                    <Siblings message={message} />
                    <button type="button" class="icon" title={texts.regenerate} aria-label={texts.regenerate} disabled={busy}
                        onClick={() => regenerate(message)}><Icon name="again" /></button>
                    <CopyButton text={message.content} />
                </div>
            )}
        </>
    );
}

function Ending({ message }: { message: Message }) {
    if (message.finish === 'stopped') return <p class="hint">{texts.stopped}</p>;
    if (message.finish === 'length') return <p class="hint">{texts.lengthEnd}</p>;
    return null;
}

function pretty(json: string): string {
    try {
        return JSON.stringify(JSON.parse(json), null, 2);
    } catch {
        return json;
    }
}

function Thoughts({ text, open }: { text: string; open: boolean }) {
    return (
        <details class="thoughts" open={open}>
            <summary>{open ? texts.thinking : texts.thoughts}</summary>
            <Markdown text={text} />
        </details>
    );
}

/** Seconds count, so that slow is told from dead. */
function Waiting({ begun }: { begun: number }) {
    const [now, setNow] = useState(performance.now());
    useEffect(() => {
        const timer = setInterval(() => setNow(performance.now()), 100);
        return () => clearInterval(timer);
    }, []);
    const seconds = (now - begun) / 1000;
    return <p class="waiting"><span class="dots" aria-hidden="true" />{texts.waiting}{seconds >= 0.5 && ` · ${seconds.toFixed(1)} s`}</p>;
}

/** Which of the messages that stand in one place is shown. */
function Siblings({ message }: { message: Message }) {
    const all = childrenOf(current.value, message.parent);
    if (all.length < 2) return null;
    const at = all.findIndex((one) => one.id === message.id);
    return (
        <span class="siblings">
            <button type="button" class="icon" aria-label={texts.earlier} disabled={at === 0} onClick={() => showBranch(all[at - 1].id)}><Icon name="left" /></button>
            {texts.branchOf(at + 1, all.length)}
            <button type="button" class="icon" aria-label={texts.later} disabled={at === all.length - 1} onClick={() => showBranch(all[at + 1].id)}><Icon name="right" /></button>
        </span>
    );
}

/** What the calls give is for the user to say: this page runs no tools. */
function Results({ message }: { message: Message }) {
    const calls = message.toolCalls ?? [];
    const [given, setGiven] = useState<Record<string, string>>({});
    const submit = (event: Event) => {
        event.preventDefault();
        sendResults(calls.map(({ id }) => ({ id, content: given[id] ?? '' })), message.id);
    };
    return (
        <form class="editor" onSubmit={submit}>
            {calls.map((call) => <label class="field">{texts.resultFor(call.name)}
                <textarea rows={2} value={given[call.id] ?? ''}
                    onInput={(event) => setGiven({ ...given, [call.id]: event.currentTarget.value })} /></label>)}
            <p class="actions"><span class="grow" /><button type="submit" class="main">{texts.giveResults}</button></p>
        </form>
    );
}

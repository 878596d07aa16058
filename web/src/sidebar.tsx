import { useRef, useState } from 'preact/hooks';
import { conversations, current, importAll, removeConversation, rename, show, startNew } from './chat';
import { fromExport, toExport } from './chat_tree';
import { Icon } from './icons';
import { texts } from './texts';
import { sidebar } from './view';

function download(name: string, text: string): void {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function Sidebar() {
    const [problem, setProblem] = useState('');
    const [renaming, setRenaming] = useState('');
    const file = useRef<HTMLInputElement>(null);
    const hide = () => { sidebar.value = false; };
    const take = async (input: HTMLInputElement) => {
        try {
            importAll(fromExport(await input.files![0].text()));
            setProblem('');
        } catch {
            setProblem(texts.importFailed);
        }
        input.value = '';
    };
    return (
        <aside class={sidebar.value ? 'shown' : ''} aria-label={texts.conversations}>
            <button type="button" class="new" onClick={() => { startNew(); hide(); }}><Icon name="plus" />{texts.newChat}</button>
            <ul>
                {conversations.value.map((one) => (
                    <li key={one.id} class={one.id === current.value.id ? 'on' : ''}>
                        {renaming === one.id
                            ? <input value={one.title} aria-label={texts.renameChat} ref={(element) => element?.focus()}
                                onBlur={(event) => { rename(one.id, event.currentTarget.value); setRenaming(''); }}
                                onKeyDown={(event) => { if (event.key === 'Enter') event.currentTarget.blur(); }} />
                            : <button type="button" class="title" aria-current={one.id === current.value.id ? 'true' : undefined}
                                onClick={() => { show(one.id); hide(); }} onDblClick={() => setRenaming(one.id)}>{one.title || texts.untitled}</button>}
                        <button type="button" class="icon" title={texts.renameChat} aria-label={`${texts.renameChat}: ${one.title}`}
                            onClick={() => setRenaming(one.id)}><Icon name="edit" /></button>
                        <button type="button" class="icon" title={texts.deleteChat} aria-label={`${texts.deleteChat}: ${one.title}`}
                            onClick={() => { if (confirm(texts.deleteSure(one.title))) removeConversation(one.id); }}><Icon name="trash" /></button>
                    </li>
                ))}
            </ul>
            {conversations.value.length === 0 && <p class="hint">{texts.noChats}</p>}
            {problem && <p class="bad" role="alert">{problem}</p>}
            <p class="foot">
                <button type="button" class="quiet" disabled={conversations.value.length === 0}
                    onClick={() => download('sutazai-chats.json', toExport(conversations.value))}>{texts.exportAll}</button>
                <button type="button" class="quiet" onClick={() => file.current!.click()}>{texts.importFile}</button>
                <input ref={file} class="hidden" type="file" accept=".json,application/json" tabIndex={-1} aria-label={texts.importFile}
                    onChange={(event) => void take(event.currentTarget)} />
            </p>
        </aside>
    );
}

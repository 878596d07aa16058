import { useEffect } from 'preact/hooks';
import { hasKey, keyState, keyVersion } from './api';
import { loadModels, startNew, stop } from './chat';
import { ChatView } from './chat_view';
import { Help } from './help';
import { Icon } from './icons';
import { KeyDialog } from './key_dialog';
import { OperationsView } from './operations';
import { texts } from './texts';
import { go, helpShown, setTheme, sidebar, theme, view, type Theme, type View } from './view';

export function App() {
    const version = keyVersion.value;
    useEffect(() => void loadModels(), [version]);
    useEffect(() => {
        addEventListener('keydown', onKey);
        return () => removeEventListener('keydown', onKey);
    }, []);
    return (
        <>
            <Header />
            {view.value === 'chat' ? <ChatView /> : <OperationsView />}
            {keyState.value !== 'fine' && <KeyDialog />}
            {helpShown.value && <Help />}
        </>
    );
}

const kThemes: Theme[] = ['auto', 'light', 'dark'];

function Header() {
    const next = kThemes[(kThemes.indexOf(theme.value) + 1) % kThemes.length];
    return (
        <header>
            {view.value === 'chat' &&
                <button type="button" class="icon menu" aria-label={texts.conversations} aria-expanded={sidebar.value}
                    onClick={() => { sidebar.value = !sidebar.value; }}><Icon name="menu" /></button>}
            <h1>{texts.name}</h1>
            <nav>
                <Tab to="chat" name={texts.chat} />
                <Tab to="operations" name={texts.operations} />
            </nav>
            <span class="grow" />
            <button type="button" class="icon" title={`${texts.theme}: ${texts.themes[theme.value]}`}
                aria-label={`${texts.theme}: ${texts.themes[theme.value]}`} onClick={() => setTheme(next)}>
                <Icon name={theme.value} />
            </button>
            <button type="button" class={hasKey() ? 'icon on' : 'icon'} title={texts.keyTitle} aria-label={texts.keyTitle}
                onClick={() => { keyState.value = 'asked'; }}><Icon name="key" /></button>
            <button type="button" class="icon wide" title={texts.help} aria-label={texts.help}
                onClick={() => { helpShown.value = true; }}><Icon name="help" /></button>
        </header>
    );
}

function Tab({ to, name }: { to: View; name: string }) {
    return <button type="button" aria-current={view.value === to ? 'page' : undefined} onClick={() => go(to)}>{name}</button>;
}

function onKey(event: KeyboardEvent): void {
    const into = event.target as HTMLElement;
    const types = into.matches('input, textarea, select');
    if (event.key === 'Escape') {
        if (helpShown.value) helpShown.value = false;
        else if (sidebar.value) sidebar.value = false;
        else if (view.value === 'chat' && !into.closest('dialog')) stop();
    } else if (event.altKey && event.code === 'KeyN') {
        event.preventDefault();
        go('chat');
        startNew();
    } else if (event.altKey && (event.code === 'Digit1' || event.code === 'Digit2')) {
        event.preventDefault();
        go(event.code === 'Digit1' ? 'chat' : 'operations');
    } else if (!types && !event.ctrlKey && !event.metaKey && event.key === '/') {
        event.preventDefault();
        document.getElementById('prompt')?.focus();
    } else if (!types && event.key === '?') {
        helpShown.value = true;
    }
}

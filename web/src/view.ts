import { signal } from '@preact/signals';

export type View = 'chat' | 'operations';
export type Theme = 'auto' | 'light' | 'dark';

const kViews: View[] = ['chat', 'operations'];

export const view = signal<View>('chat');
export const theme = signal<Theme>((localStorage.getItem('sutazai.theme') as Theme | null) ?? 'auto');
/** What a link has put into the message; it is never sent by itself. */
export const filled = signal('');
export const sidebar = signal(false);
export const helpShown = signal(false);

export function setTheme(to: Theme): void {
    theme.value = to;
    localStorage.setItem('sutazai.theme', to);
    applyTheme();
}

export function applyTheme(): void {
    if (theme.value === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
}

export function go(to: View): void {
    if (view.value !== to) location.hash = to === 'chat' ? '' : to;
    view.value = to;
}

/** #operations shows that view; #prompt=… fills the message. */
export function readHash(): void {
    const hash = location.hash.slice(1);
    const prompt = new URLSearchParams(hash).get('prompt');
    if (prompt !== null) {
        filled.value = prompt.slice(0, 200_000);
        history.replaceState(null, '', location.pathname + location.search);
        view.value = 'chat';
        return;
    }
    view.value = kViews.find((one) => one === hash) ?? 'chat';
}

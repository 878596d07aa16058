import { useState } from 'preact/hooks';
import { forgetKey, hasKey, keyState, useKey } from './api';
import { Dialog } from './dialog';
import { texts } from './texts';

export function KeyDialog() {
    const [key, setKey] = useState('');
    const [remember, setRemember] = useState(false);
    const why = { missing: texts.keyMissing, wrong: texts.keyWrong, asked: texts.keyAsked, fine: '' }[keyState.value];
    const close = () => { keyState.value = 'fine'; };
    const submit = (event: Event) => {
        event.preventDefault();
        if (key.trim()) useKey(key.trim(), remember);
    };
    return (
        <Dialog title={texts.keyTitle} onClose={close}>
            <form onSubmit={submit}>
                <p role={keyState.value === 'wrong' ? 'alert' : undefined} class={keyState.value === 'wrong' ? 'bad' : ''}>{why}</p>
                <label class="field">{texts.keyLabel}
                    <input type="password" name="key" autocomplete="off" value={key}
                        onInput={(event) => setKey(event.currentTarget.value)} /></label>
                <label class="check"><input type="checkbox" checked={remember}
                    onChange={(event) => setRemember(event.currentTarget.checked)} />{texts.keyRemember}</label>
                <p class="hint">{texts.keyNote}</p>
                <p class="actions">
                    {hasKey() && <button type="button" onClick={() => { forgetKey(); close(); }}>{texts.keyForget}</button>}
                    <span class="grow" />
                    <button type="button" onClick={close}>{texts.cancel}</button>
                    <button type="submit" class="main">{texts.keyUse}</button>
                </p>
            </form>
        </Dialog>
    );
}

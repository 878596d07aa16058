import { Dialog } from './dialog';
import { texts } from './texts';
import { helpShown } from './view';

export function Help() {
    const close = () => { helpShown.value = false; };
    return (
        <Dialog title={texts.help} onClose={close}>
            <dl class="keys">{texts.helpKeys.map(([key, what]) => <div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
            <p class="actions"><a href="page/licenses.txt" target="_blank" rel="noopener">Licences</a><span class="grow" />
                <button type="button" onClick={close}>{texts.close}</button></p>
        </Dialog>
    );
}

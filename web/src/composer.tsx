import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { current, liveOf, send, stop, takesImages } from './chat';
import { Icon } from './icons';
import { texts } from './texts';
import { filled } from './view';

const kMostImageBytes = 10 << 20;

function asDataUrl(file: File): Promise<string> {
    return new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result as string);
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(file);
    });
}

export function Composer() {
    const [text, setText] = useState('');
    const [images, setImages] = useState<string[]>([]);
    const [note, setNote] = useState('');
    const area = useRef<HTMLTextAreaElement>(null);
    const { id, model } = current.value;
    const busy = liveOf(id) !== undefined;
    const sees = takesImages.value[model] ?? false;

    useEffect(() => {
        if (!filled.value) return;
        setText(filled.value);
        setNote(texts.filled);
        filled.value = '';
        area.current!.focus();
    }, [filled.value]);
    useEffect(() => { if (matchMedia('(hover: hover)').matches) area.current!.focus(); }, [id]);
    useLayoutEffect(() => {
        const element = area.current!;
        element.style.height = 'auto';
        element.style.height = `${Math.min(element.scrollHeight, innerHeight * 0.4)}px`;
    }, [text]);

    const submit = (event?: Event) => {
        event?.preventDefault();
        if (busy || !text.trim() || !model) return;
        send(text, images);
        setText('');
        setImages([]);
        setNote('');
    };
    const take = async (files: Iterable<File>) => {
        for (const file of files) {
            if (!file.type.startsWith('image/')) continue;
            if (file.size > kMostImageBytes) {
                setNote(texts.imageTooLarge);
                continue;
            }
            const url = await asDataUrl(file);
            setImages((before) => [...before, url]);
        }
    };
    return (
        <form class="composer" onSubmit={submit}>
            {note && <p class="note" role="status">{note}</p>}
            {images.length > 0 && <div class="images">{images.map((url, at) =>
                <span><img src={url} alt={texts.image} />
                    <button type="button" class="icon" aria-label={texts.removeImage}
                        onClick={() => setImages(images.filter((_, each) => each !== at))}><Icon name="cross" /></button></span>)}</div>}
            <div class="row">
                {sees && <label class="icon" title={texts.addImage}><span class="hidden">{texts.addImage}</span><Icon name="image" />
                    <input class="hidden" type="file" accept="image/*" multiple
                        onChange={(event) => { void take([...event.currentTarget.files ?? []]); event.currentTarget.value = ''; }} /></label>}
                <textarea id="prompt" rows={1} ref={area} value={text} aria-label={texts.prompt} placeholder={texts.promptHint(model)}
                    onInput={(event) => setText(event.currentTarget.value)}
                    onPaste={(event) => { if (sees) void take(event.clipboardData?.files ?? []); }}
                    onKeyDown={(event) => {
                        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
                    }} />
                {busy
                    ? <button type="button" class="icon main" title={texts.stop} aria-label={texts.stop} onClick={stop}><Icon name="stop" /></button>
                    : <button type="submit" class="icon main" title={texts.send} aria-label={texts.send} disabled={!text.trim() || !model}><Icon name="send" /></button>}
            </div>
        </form>
    );
}

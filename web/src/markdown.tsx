import { memo } from './memo';
import { Lexer, type Token, type Tokens } from 'marked';
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { texts } from './texts';

/**
 * Markdown as elements that are made from its tokens. No HTML is ever set as text, so what a model writes can only
 * become what stands here: tags are shown as they are written, links lead to web addresses, pictures are links.
 */
export const Markdown = memo(({ text }: { text: string }) => <Blocks text={text} />);

function Blocks({ text }: { text: string }) {
    const read = useRef<Read>({ text: '', blocks: [] });
    read.current = readOn(read.current, text);
    return <div class="md">{read.current.blocks.map((raw, at) => <Block key={at} raw={raw} />)}</div>;
}

const kMostLexed = 400_000; // characters of one message; what is longer is shown as it is

interface Read {
    text: string;
    blocks: string[];
}

/**
 * The text in top-level blocks. One that only grew is read again from its last block on: whatever comes, blocks before
 * that stay as they are.
 */
export function readOn(before: Read, text: string): Read {
    if (before.text === text) return before;
    if (text.length > kMostLexed) return { text, blocks: [text] };
    const kept = before.text && text.startsWith(before.text) ? before.blocks.slice(0, -1) : [];
    const blocks = [...kept];
    for (const token of new Lexer({ gfm: true }).lex(text.slice(lengthOf(kept)))) {
        if (token.type === 'space' && blocks.length > kept.length) blocks[blocks.length - 1] += token.raw;
        else blocks.push(token.raw);
    }
    // The lexer makes one newline of two kinds; then lengths do not add up, and all is read again the next time.
    return lengthOf(blocks) === text.length ? { text, blocks } : { text: '', blocks };
}

const lengthOf = (blocks: string[]) => blocks.reduce((sum, raw) => sum + raw.length, 0);

const Block = memo(({ raw }: { raw: string }) => {
    if (raw.length > kMostLexed) return <p class="pre">{raw}</p>;
    return <>{new Lexer({ gfm: true }).lex(raw).map(block)}</>;
});

function safeLink(href: string): string | null {
    try {
        const url = new URL(href);
        return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

/** marked leaves entities in text tokens as they were written. */
const kEntities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };
const plain = (text: string) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => kEntities[entity]);

function all(tokens: Token[] | undefined): ComponentChildren {
    return tokens?.map(inline);
}

function inline(token: Token): ComponentChildren {
    switch (token.type) {
        case 'strong': return <strong>{all(token.tokens)}</strong>;
        case 'em': return <em>{all(token.tokens)}</em>;
        case 'del': return <del>{all(token.tokens)}</del>;
        case 'codespan': return <code>{plain(token.text)}</code>;
        case 'br': return <br />;
        case 'link': {
            const href = safeLink(token.href);
            if (!href) return <>{all(token.tokens)}</>;
            return <a href={href} target="_blank" rel="noopener noreferrer">{all(token.tokens)}</a>;
        }
        case 'image': {
            const href = safeLink(token.href);
            return href ? <a href={href} target="_blank" rel="noopener noreferrer">{token.text || href}</a> : token.raw;
        }
        case 'escape': return token.text;
        case 'html': return token.raw;
        case 'text': return 'tokens' in token && token.tokens ? <>{all(token.tokens)}</> : plain(token.text);
        case 'checkbox': return <input type="checkbox" checked={token.checked} disabled aria-label={texts.task} />;
        default: return block(token);
    }
}

function block(token: Token): ComponentChildren {
    switch (token.type) {
        case 'space': case 'def': return null;
        case 'hr': return <hr />;
        // An answer's headings stand below those of the page.
        case 'heading': return <div class={`h h${token.depth}`} role="heading" aria-level={Math.min(6, Math.max(3, token.depth + 1))}>{all(token.tokens)}</div>;
        case 'paragraph': return <p>{all(token.tokens)}</p>;
        case 'blockquote': return <blockquote>{token.tokens?.map(block)}</blockquote>;
        case 'code': return <Code text={token.text} language={token.lang ?? ''} />;
        case 'list': return list(token as Tokens.List);
        case 'table': return table(token as Tokens.Table);
        case 'html': return <p class="pre">{token.raw}</p>;
        case 'text': return <>{'tokens' in token && token.tokens ? all(token.tokens) : plain(token.text)}</>;
        default: return inlineOrRaw(token);
    }
}

function inlineOrRaw(token: Token): ComponentChildren {
    return ['strong', 'em', 'del', 'codespan', 'br', 'link', 'image', 'escape', 'checkbox'].includes(token.type) ? inline(token) : token.raw;
}

function list(token: Tokens.List): ComponentChildren {
    const items = token.items.map((item) => <li class={item.task ? 'task' : undefined}>{item.tokens.map(block)}</li>);
    return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function table(token: Tokens.Table): ComponentChildren {
    const align = (at: number) => token.align[at] ? `align-${token.align[at]}` : undefined;
    return (
        <div class="table" tabIndex={0} role="region" aria-label={texts.table}>
            <table>
                <thead><tr>{token.header.map((cell, at) => <th class={align(at)}>{all(cell.tokens)}</th>)}</tr></thead>
                <tbody>{token.rows.map((row) =>
                    <tr>{row.map((cell, at) => <td class={align(at)}>{all(cell.tokens)}</td>)}</tr>)}</tbody>
            </table>
        </div>
    );
}

export function Code({ text, language }: { text: string; language: string }) {
    const name = language.trim().split(/\s/)[0];
    return (
        <div class="code">
            <div class="bar"><span>{name || texts.code}</span><CopyButton text={text} /></div>
            <pre tabIndex={0}><code>{text}</code></pre>
        </div>
    );
}

export function CopyButton({ text, label = texts.copy }: { text: string; label?: string }) {
    const [done, setDone] = useState(false);
    const copy = async () => {
        await copyText(text);
        setDone(true);
        setTimeout(() => setDone(false), 1500);
    };
    return <button type="button" class="quiet" onClick={copy}>{done ? texts.copied : label}</button>;
}

/** The clipboard is there for https and this machine alone; elsewhere the old way is. */
async function copyText(text: string): Promise<void> {
    if (navigator.clipboard) return navigator.clipboard.writeText(text).catch(() => {});
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
}

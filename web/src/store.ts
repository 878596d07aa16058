import type { Conversation } from './chat_tree';

/** Conversations in this browser. Without IndexedDB (a private window, say) they live as long as the page. */
const kStore = 'conversations';

let opened: Promise<IDBDatabase | null> | undefined;

function database(): Promise<IDBDatabase | null> {
    opened ??= new Promise((resolve) => {
        try {
            const request = indexedDB.open('sutazai', 1);
            request.onupgradeneeded = () => request.result.createObjectStore(kStore, { keyPath: 'id' });
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => resolve(null);
        } catch {
            resolve(null);
        }
    });
    return opened;
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | null> {
    const db = await database();
    if (!db) return null;
    return new Promise((resolve, reject) => {
        const request = work(db.transaction(kStore, mode).objectStore(kStore));
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

export async function loadAll(): Promise<Conversation[]> {
    return (await run('readonly', (store) => store.getAll() as IDBRequest<Conversation[]>)) ?? [];
}

export async function save(conversation: Conversation): Promise<void> {
    await run('readwrite', (store) => store.put(conversation));
}

export async function remove(id: string): Promise<void> {
    await run('readwrite', (store) => store.delete(id));
}

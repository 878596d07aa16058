/** Binary bytes: 1 KiB is 1024. */
export function bytes(value: number): string {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let at = 0;
    for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
    return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function ms(value: number): string {
    if (value < 10) return `${value.toFixed(1)} ms`;
    return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
}

export const count = (value: number) => value.toLocaleString('en');

export function percent(part: number, whole: number): string {
    return whole > 0 ? `${Math.round(part / whole * 100)} %` : '–';
}

/** "12 s", "3 min", "2 h": how long ago. */
export function ago(at: number, now: number): string {
    const seconds = Math.max(0, Math.round((now - at) / 1000));
    if (seconds < 60) return `${seconds} s`;
    return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

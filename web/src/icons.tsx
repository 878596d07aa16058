/** Drawn on 16 by 16, in the colour of the text. */
const kPaths: Record<string, string> = {
    menu: 'M2 4h12M2 8h12M2 12h12',
    key: 'M6.5 9.5a3 3 0 1 1 1-1L14 2M11 5l2 2',
    help: 'M6 6a2 2 0 1 1 3 1.7c-.7.4-1 .8-1 1.6M8 12v.2M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13',
    light: 'M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
    dark: 'M13.5 10A6 6 0 0 1 6 2.5a6 6 0 1 0 7.5 7.5',
    auto: 'M2 3h12v8H2zM6 14h4M8 11v3',
    send: 'M8 14V3M3.5 7 8 2.5 12.5 7',
    stop: 'M4 4h8v8H4z',
    image: 'M2 3h12v10H2zM2 11l4-4 4 4 1.5-1.5L14 12M10.5 6v.1',
    settings: 'M2 5h7M13 5h1M2 11h1M7 11h7M9 5a2 2 0 1 0 4 0 2 2 0 1 0-4 0M3 11a2 2 0 1 0 4 0 2 2 0 1 0-4 0',
    edit: 'M3 13l.7-3L11 2.700l2.300 2.300L6 12.300z',
    again: 'M13 8a5 5 0 1 1-1.500-3.500M13 2v3h-3',
    left: 'M10 3 5 8l5 5',
    right: 'M6 3l5 5-5 5',
    plus: 'M8 3v10M3 8h10',
    trash: 'M3 4h10M6.500 4V2.500h3V4M4.500 4l.5 9.500h6l.5-9.500',
    cross: 'M4 4l8 8M12 4l-8 8',
    pin: 'M8 10v4M5 10h6l-1-3V3h1V2H5v1h1v4z',
};

export function Icon({ name }: { name: string }) {
    return <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d={kPaths[name]} /></svg>;
}

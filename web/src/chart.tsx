import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { theme } from './view';

export interface Line {
    name: string;
    color: string; // a CSS variable
    values: (number | null)[];
    fill?: boolean;
}

const clock = (seconds: number) => new Date(seconds * 1000).toLocaleTimeString('en-GB');

/** A time series. Its caption says in words what it shows now, so that nobody needs to see it. */
export function Chart({ title, unit, at, lines }: { title: string; unit: string; at: number[]; lines: Line[] }) {
    const place = useRef<HTMLDivElement>(null);
    const chart = useRef<uPlot | null>(null);
    const shown = theme.value;
    useEffect(() => {
        const style = getComputedStyle(document.documentElement);
        const color = (name: string) => style.getPropertyValue(name).trim();
        const axis = { stroke: color('--dim'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
        const element = place.current!;
        const made = new uPlot({
            width: element.clientWidth,
            height: 132,
            cursor: { y: false, points: { size: 5 } },
            legend: { show: false },
            padding: [8, 4, 0, 0],
            // A minute at least, so that the first seconds are no steep hills.
            scales: { x: { range: (_, from, to) => [Math.min(from ?? 0, (to ?? 0) - 60), to ?? 0] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
            axes: [{ ...axis, space: 90, size: 26, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 44, space: 28 }],
            series: [{}, ...lines.map((line) => ({
                label: line.name, stroke: color(line.color), width: 1.5, points: { show: false },
                fill: line.fill ? `${color(line.color)}22` : undefined,
            }))],
        }, [at, ...lines.map((line) => line.values)] as uPlot.AlignedData, element);
        chart.current = made;
        const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: 132 }));
        observer.observe(element);
        return () => {
            observer.disconnect();
            made.destroy();
        };
    }, [shown, lines.length]);
    useEffect(() => chart.current?.setData([at, ...lines.map((line) => line.values)] as uPlot.AlignedData), [at]);
    const last = (line: Line) => {
        const value = line.values[line.values.length - 1];
        return value === null || value === undefined ? '–' : value >= 100 ? Math.round(value).toString() : value.toFixed(value % 1 ? 1 : 0);
    };
    return (
        <figure class="chart">
            <figcaption><strong>{title}</strong><span class="grow" />
                {lines.map((line) => <span class="key"><i class={line.color.slice(2)} aria-hidden="true" />{line.name} <b>{last(line)}</b></span>)}
                <span class="unit">{unit}</span></figcaption>
            <div ref={place} aria-hidden="true" />
        </figure>
    );
}

import { Component, type ComponentChild, type FunctionComponent } from 'preact';

/** Rendered anew only when a prop is another one. */
export function memo<P extends object>(render: (props: P) => ComponentChild): FunctionComponent<P> {
    class Memo extends Component<P> {
        shouldComponentUpdate(next: Readonly<P>): boolean {
            const names = Object.keys(next) as (keyof P)[];
            return names.some((name) => next[name] !== (this.props as P)[name]);
        }
        render(): ComponentChild {
            return render(this.props as P);
        }
    }
    return Memo as unknown as FunctionComponent<P>;
}

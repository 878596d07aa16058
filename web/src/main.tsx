import { render } from 'preact';
import { App } from './app';
import { start } from './chat';
import { applyTheme, readHash } from './view';
import './style.css';

applyTheme();
readHash();
addEventListener('hashchange', readHash);
const place = document.getElementById('app')!;
place.textContent = ''; // what was there to be seen at once
render(<App />, place);
void start();

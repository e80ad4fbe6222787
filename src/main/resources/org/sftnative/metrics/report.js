'use strict';
// Draws runs: RUNS is an array of what RunHistory.json gives; TOKEN is null in a report, else the live page's.
// Colours are Okabe and Ito's, which colour-blind readers tell apart.
const ON_WHITE = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#999999'];
const ON_BLACK = ['#56b4e9', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#f0e442', '#999999'];
const DARK = matchMedia('(prefers-color-scheme: dark)');
const $ = id => document.getElementById(id);
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = {};
const logScale = {grad_norm: true};

const number = (x, digits = 4) => x == null ? '–' :
  x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6) ? x.toExponential(2) :
  Number(x.toPrecision(digits)).toLocaleString('en', {maximumSignificantDigits: digits});
const bytes = x => x == null ? '–' : x >= 2 ** 30 ? (x / 2 ** 30).toFixed(1) + ' GiB' : (x / 2 ** 20).toFixed(0) + ' MiB';

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text != null) e.textContent = text; // never as HTML: rows and answers may hold anything
  if (className) e.className = className;
  return e;
}

// A running mean, corrected at the start as Adam corrects its moments; few points are smoothed less.
function smoothed(points) {
  const kept = Math.max(0, Math.min(0.9, 1 - 4 / points.length));
  let mean = 0, weight = 0;
  return points.map(([x, y]) => {
    if (y == null) return [x, null];
    mean = kept * mean + (1 - kept) * y;
    weight = kept * weight + (1 - kept);
    return [x, mean / weight];
  });
}

const column = (lines, key) => lines.filter(l => l[key] !== undefined).map(l => [l.step, l[key]]);

const CHARTS = [
  {id: 'loss', title: 'Loss', unit: 'nats a label token', series: (run, many) => [
    ...(many ? [] : [{name: 'training, each logged step', data: column(run.steps, 'loss'), faint: true}]),
    {name: many ? run.name + ', training' : 'training, smoothed', data: smoothed(column(run.steps, 'loss'))},
    {name: many ? run.name + ', evaluation' : 'evaluation', data: column(run.evals, 'eval_loss'), marks: true}]},
  {id: 'learning_rate', title: 'Learning rate', unit: '', format: x => x.toExponential(1),
    series: (run, many) => [{name: many ? run.name : 'learning rate', data: column(run.steps, 'learning_rate')}]},
  {id: 'grad_norm', title: 'Gradient norm, before clipping', unit: '', series: (run, many) =>
    [{name: many ? run.name : 'gradient norm', data: column(run.steps, 'grad_norm')}]},
  {id: 'tokens_per_second', title: 'Throughput', unit: 'real tokens a second', zero: true, series: (run, many) =>
    [{name: many ? run.name : 'tokens a second', data: column(run.steps, 'tokens_per_second')}]},
  {id: 'peak_bytes', title: 'Peak memory so far', unit: 'GiB', zero: true, series: (run, many) =>
    [{name: many ? run.name : 'peak memory', data: column(run.steps, 'peak_bytes').map(([x, y]) => [x, y / 2 ** 30])}]},
];

function notes(run) {
  const shown = {saved: ['checkpoint', '#009e73'], alert: ['alert', '#d55e00'], warning: ['warning', '#e69f00']};
  return run.events.filter(e => shown[e.event]).slice(-60).map(e => ({xAxis: e.step,
    lineStyle: {color: shown[e.event][1], type: e.event === 'saved' ? 'dotted' : 'dashed', width: 1}}));
}

function draw(runs) {
  const many = runs.length > 1, COLOURS = DARK.matches ? ON_BLACK : ON_WHITE;
  for (const chart of CHARTS) {
    let plot = plots[chart.id];
    if (!plot) {
      const card = element('div', null, 'chart');
      const head = element('h3', chart.title);
      const label = element('label');
      const box = element('input');
      box.type = 'checkbox';
      box.checked = !!logScale[chart.id];
      box.addEventListener('change', () => { logScale[chart.id] = box.checked; draw(current); });
      label.append(box, ' log scale');
      head.append(label);
      const area = element('div', null, 'plot');
      area.setAttribute('role', 'img');
      area.setAttribute('aria-label', chart.title + ' over steps');
      card.append(head, area);
      $('charts').append(card);
      plot = plots[chart.id] = echarts.init(area);
      new ResizeObserver(() => plot.resize()).observe(area);
    }
    const log = !!logScale[chart.id];
    const series = runs.flatMap((run, r) => chart.series(run, many).map((s, i) => {
      const colour = COLOURS[(many ? r : s.faint ? 0 : s.marks ? 1 : 0) % COLOURS.length];
      return {name: s.name, type: 'line', data: log ? s.data.map(([x, y]) => [x, y > 0 ? y : null]) : s.data,
        showSymbol: !!s.marks || s.data.length < 3, symbolSize: 6, sampling: 'lttb', animation: false,
        lineStyle: {color: colour, width: s.faint ? 1 : 2, opacity: s.faint ? 0.45 : 1, type: many && s.marks ? 'dashed' : 'solid'},
        itemStyle: {color: colour, opacity: s.faint ? 0.45 : 1},
        markLine: many || i > 0 ? undefined : {silent: true, symbol: 'none', label: {show: false}, data: notes(run)}};
    })).filter(s => s.data.length);
    const axis = {nameTextStyle: {color: css('--soft')}, axisLabel: {color: css('--soft'), hideOverlap: true},
      axisLine: {lineStyle: {color: css('--line')}}, splitLine: {lineStyle: {color: css('--line'), opacity: 0.6}}};
    plot.setOption({
      animation: false, textStyle: {fontFamily: 'system-ui, sans-serif'},
      grid: {left: 64, right: 18, top: series.length > 1 ? 52 : 30, bottom: 40},
      legend: {show: series.length > 1, top: 0, left: 4, type: 'scroll', textStyle: {color: css('--ink')},
        pageTextStyle: {color: css('--soft')}},
      tooltip: {trigger: 'axis', confine: true, valueFormatter: v => number(v)},
      xAxis: {...axis, type: 'value', name: 'optimizer step', nameLocation: 'middle', nameGap: 24, minInterval: 1,
        min: 0, max: 'dataMax'},
      yAxis: {...axis, type: log ? 'log' : 'value', name: chart.unit, nameLocation: 'end', scale: !chart.zero,
        nameTextStyle: {color: css('--soft'), align: 'left', padding: [0, 0, 0, -52]},
        axisLabel: {color: css('--soft'), formatter: chart.format || (v => number(v, 3))}},
      series,
    }, true);
  }
}

function tiles(run) {
  const s = run.steps[run.steps.length - 1] || {}, e = run.evals[run.evals.length - 1] || {};
  const best = Math.min(...run.evals.map(l => l.eval_loss).filter(x => x != null));
  $('tiles').replaceChildren(...[
    ['step', run.last_step + (run.total_steps ? ' of ' + run.total_steps : '')],
    ['epoch', number(s.epoch, 3)], ['training loss', number(s.loss)],
    ['evaluation loss', number(e.eval_loss)],
    ['lowest evaluation loss', best < e.eval_loss ? number(best) + ' at step ' + run.evals.find(l => l.eval_loss === best).step : '–'],
    ['learning rate', number(s.learning_rate, 3)], ['gradient norm', number(s.grad_norm, 3)],
    ['tokens a second', number(s.tokens_per_second, 4)], ['peak memory', bytes(s.peak_bytes)],
    ['time left', left(run)],
  ].filter(([, v]) => v !== '–').map(([name, value]) => {
    const t = element('div', null, 'tile');
    t.append(element('span', name, 'soft'), element('b', value));
    return t;
  }));
}

function left(run) {
  const starts = run.events.filter(e => e.event === 'started');
  const s = run.steps[run.steps.length - 1];
  if (run.state !== 'running' || !starts.length || !s || !TOKEN) return '–';
  const start = starts[starts.length - 1], done = s.step - start.step;
  if (done <= 0) return '–';
  const seconds = (Date.now() - Date.parse(start.at)) / 1000 / done * (run.total_steps - s.step);
  return seconds >= 3600 ? (seconds / 3600).toFixed(1) + ' h' : seconds >= 60 ? Math.round(seconds / 60) + ' min' : Math.round(seconds) + ' s';
}

function table(section, title, heads, rows, emphasised) {
  const s = $(section);
  if (!rows.length) { s.replaceChildren(); return; }
  const t = element('table'), head = element('tr');
  heads.forEach(h => head.append(element('th', h)));
  t.append(head);
  rows.forEach(cells => {
    const row = element('tr');
    cells.forEach(c => row.append(element('td', c, emphasised && emphasised(cells) ? 'differs' : null)));
    t.append(row);
  });
  const scroll = element('div', null, 'scroll');
  scroll.append(t);
  s.replaceChildren(element('h2', title), scroll);
}

// The questions one below the other, each with its answers over the steps; the same answer again is not repeated.
function answers(runs) {
  const section = $('samples'), questions = new Map();
  for (const run of runs) {
    for (const e of run.events.filter(e => e.event === 'sample')) {
      const key = JSON.stringify([e.prompt, e.expected]);
      if (!questions.has(key)) questions.set(key, {prompt: e.prompt, expected: e.expected, rows: []});
      const rows = questions.get(key).rows, last = rows[rows.length - 1];
      if (last && last.run === run.name && last.answer === e.answer) last.to = e.step;
      else rows.push({run: run.name, from: e.step, to: e.step, answer: e.answer});
    }
  }
  section.replaceChildren();
  if (!questions.size) return;
  section.append(element('h2', 'Answers over time'),
    element('p', 'What the model says to rows that it is not trained on, after so many steps.', 'soft'));
  for (const q of questions.values()) {
    const card = element('div', null, 'question'), t = element('table'), body = element('tbody');
    card.append(element('p', q.prompt.replace(/\n{2,}/g, '\n').trim(), 'prompt'));
    const row = (head, text, className) => {
      const tr = element('tr', null, className);
      tr.append(element('th', head), element('td', text));
      body.append(tr);
    };
    q.rows.forEach(a => row((runs.length > 1 ? a.run + ', ' : '') + (a.from === a.to ? 'step ' + a.from : 'steps ' + a.from + ' to ' + a.to), a.answer));
    row('expected', q.expected, 'expected');
    t.append(body);
    card.append(t);
    section.append(card);
  }
}

// A run that was killed says nothing: how long it has been silent tells.
function stateOf(run) {
  if (run.state !== 'running') return run.state;
  if (!TOKEN) return 'not finished';
  const minutes = Math.floor((Date.now() - run.changed) / 60000);
  return minutes < 2 ? 'running' : 'running, but nothing new for ' + (minutes < 120 ? minutes + ' minutes' : Math.floor(minutes / 60) + ' hours');
}

let current = [];
function show(runs) {
  current = runs;
  if (!runs.length) return;
  const many = runs.length > 1, run = runs[0];
  document.title = many ? runs.length + ' runs' : run.name + ' – sft-native';
  $('title').textContent = many ? runs.map(r => r.name).join(', ') : run.name;
  $('state').textContent = many ? runs.length + ' runs side by side' : stateOf(run);
  $('progress').hidden = many || !run.total_steps || run.state !== 'running';
  $('progress').value = run.total_steps ? run.last_step / run.total_steps : 0;
  if (many) {
    $('tiles').replaceChildren();
    table('reading', 'Runs', ['run', 'state', 'steps', 'last training loss', 'lowest evaluation loss', 'tokens a second', 'peak memory'],
      runs.map(r => {
        const s = r.steps[r.steps.length - 1] || {}, best = Math.min(...r.evals.map(l => l.eval_loss).filter(x => x != null));
        return [r.name, r.state, r.last_step + ' of ' + r.total_steps, number(s.loss), isFinite(best) ? number(best) : '–',
          number(s.tokens_per_second), bytes(s.peak_bytes)];
      }));
    $('reading').append(element('h2', 'What the curves say'),
      ...runs.flatMap(r => r.reading.map(t => element('p', r.name + ': ' + t))));
  } else {
    tiles(run);
    $('reading').replaceChildren(element('h2', 'What the curves say'), ...run.reading.map(t => element('p', t)));
  }
  draw(runs);
  $('live').hidden = !TOKEN || run.state !== 'running';
  $('lines').hidden = many || !notes(run).length;
  const named = (r, cells) => many ? [r.name, ...cells] : cells;
  answers(runs);
  const told = runs.flatMap(r => r.events.filter(e => ['alert', 'warning', 'saved', 'stopped', 'failed', 'finished'].includes(e.event))
    .map(e => named(r, [e.at.replace('T', ' ').replace(/\..*|Z$/, ''), String(e.step), e.event, e.message || e.path || ''])));
  table('events', 'What happened', [...(many ? ['run'] : []), 'at (UTC)', 'step', 'event', ''], told.slice(-100).reverse());
  const starts = runs.map(r => Object.assign({}, ...r.events.filter(e => e.event === 'started').map(e => e.summary)));
  const keys = [...new Set(starts.flatMap(s => Object.keys(s)))];
  table('settings', 'Settings and data', ['', ...(many ? runs.map(r => r.name) : ['this run'])],
    keys.map(k => [k, ...starts.map(s => s[k] || '')]), many && (c => new Set(c.slice(1)).size > 1));
}

DARK.addEventListener('change', () => draw(current));

if (TOKEN) {
  setInterval(() => { if (current.length && !lost) $('state').textContent = stateOf(current[0]); }, 10000);
  let lost = false;
  const ask = (what, done) => fetch(what, {method: 'POST', headers: {'X-Token': TOKEN}})
    .then(r => { $('answer').textContent = r.ok ? done : 'not taken: ' + r.status; })
    .catch(() => { $('answer').textContent = 'the run does not answer'; });
  $('save').addEventListener('click', () => ask('save', 'it is saved after this step'));
  $('stop').addEventListener('click', () => { if (confirm('Save and stop after this step?')) ask('stop', 'it stops after this step'); });
  const source = new EventSource('events?token=' + TOKEN);
  source.addEventListener('runs', e => { lost = false; show(JSON.parse(e.data)); });
  source.addEventListener('end', () => { source.close(); lost = true; $('live').hidden = true; $('progress').hidden = true; });
  source.onerror = () => { lost = true; if (current.length) $('state').textContent = 'no connection: the process has ended, or is being reached again'; };
} else {
  show(RUNS);
}

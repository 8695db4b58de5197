import type { Histogram, Registry } from '@prometheus-io/client'

/** The values of a metric at one moment. Names and units are as Prometheus' conventions want. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  /** A counter only grows between two starts of the process; its name ends in `_total`. */
  readonly type: 'gauge' | 'counter'
  readonly samples: readonly Sample[]
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** What every name begins with. */
const prefix = 'ts_overlay_'
/** Upper bounds of the buckets for calls of the engine, in seconds. */
const callBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 8]
/** The same for records on their way to another member. */
const recordBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
/** Calls that are remembered until somebody asks for the first time. */
const maxPending = 10_000

type Library = typeof import('@prometheus-io/client')

interface Loaded {
  readonly library: Library
  /** What the process itself counts: calls, and Node's own metrics. */
  readonly process: Registry
  readonly calls: Histogram<'method'>
  readonly records: Histogram
}

/**
 * The metrics of this process in Prometheus' text format. The library is loaded when somebody asks
 * for the first time: a start does not wait for it.
 */
export class Metrics {
  readonly #families: () => readonly MetricFamily[]
  #loading: Promise<Loaded> | null = null
  #loaded: Loaded | null = null
  #pending: [method: string, seconds: number][] = []

  constructor(families: () => readonly MetricFamily[]) {
    this.#families = families
  }

  /** A call of the engine took that long, in milliseconds. */
  observeCall(method: string, ms: number): void {
    if (this.#loaded !== null) this.#loaded.calls.observe({ method }, ms / 1000)
    else if (this.#pending.length < maxPending) this.#pending.push([method, ms / 1000])
  }

  /** A record reached another member after that long, in milliseconds. */
  observeRecord(ms: number): void {
    this.#loaded?.records.observe(ms / 1000)
  }

  /** All metrics, and the content type that they have. */
  async render(): Promise<{ readonly type: string; readonly text: string }> {
    this.#loading ??= load()
    const loaded = (this.#loaded = await this.#loading)
    for (const [method, seconds] of this.#pending.splice(0))
      loaded.calls.observe({ method }, seconds)
    const { library, process } = loaded
    const registry = new library.Registry()
    for (const family of this.#families()) register(library, registry, family)
    const text = `${await registry.metrics()}\n${await process.metrics()}`
    return { type: registry.contentType, text }
  }
}

async function load(): Promise<Loaded> {
  const library = await import('@prometheus-io/client')
  const process = new library.Registry()
  library.collectDefaultMetrics({ register: process })
  const calls = new library.Histogram({
    name: `${prefix}call_duration_seconds`,
    help: 'How long calls of the engine took, by method',
    labelNames: ['method'],
    buckets: callBuckets,
    registers: [process],
  })
  const records = new library.Histogram({
    name: `${prefix}record_propagation_seconds`,
    help: 'How long a record takes from here to another member, of one a second at most',
    buckets: recordBuckets,
    registers: [process],
  })
  return { library, process, calls, records }
}

function register(library: Library, registry: Registry, family: MetricFamily): void {
  const { type, help, samples } = family
  const labelNames = Object.keys(samples[0]?.labels ?? {})
  const options = { name: prefix + family.name, help, labelNames, registers: [registry] }
  if (type === 'gauge') {
    const gauge = new library.Gauge(options)
    if (labelNames.length > 0) gauge.reset()
    for (const { labels = {}, value } of samples) gauge.set(labels, value)
  } else {
    const counter = new library.Counter(options)
    for (const { labels = {}, value } of samples) counter.inc(labels, value)
  }
}

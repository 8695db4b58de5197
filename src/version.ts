import manifest from '../package.json' with { type: 'json' }

/** The version of the plugin, as `/status` shows it. */
export const version: string = manifest.version

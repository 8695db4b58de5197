// What the plugin starts with: lets Node keep what it compiled of the programs beside it, gives up rights, then runs main.
'use strict'
const { join } = require('node:path')

// In the root file system, so that an upgrade starts with an empty one.
require('node:module').enableCompileCache(join(__dirname, 'compile-cache'))
// oxlint-disable-next-line import/no-unassigned-import -- it runs
require('./rights.cjs')
// oxlint-disable-next-line import/no-unassigned-import -- it runs
require('./main.cjs')

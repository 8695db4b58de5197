/**
 * Runs `step` while the messages of uncaught exceptions go to `messages` instead of ending the
 * process.
 */
export async function catchingUncaught(
  messages: string[],
  step: () => Promise<void>,
): Promise<void> {
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => messages.push(error.message))
  try {
    await step()
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of others) process.on('uncaughtException', listener)
  }
}

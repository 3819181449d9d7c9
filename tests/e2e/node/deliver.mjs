// Makes the same seven calls with a real SDK: node deliver.mjs <package> <url> <write key>

const [, , name, url, key] = process.argv

const calls = {
  identify: { userId: 'u-1', traits: { email: 'ann@example.com', plan: 'pro' } },
  track: { userId: 'u-1', event: 'Order Completed', properties: { total: 129.9, items: [{ sku: 'a' }] } },
  page: { userId: 'u-1', category: 'Docs', name: 'Pricing', properties: { url: 'https://example.com' } },
  screen: { userId: 'u-1', category: 'App', name: 'Home', properties: { dark: true } },
  group: { userId: 'u-1', groupId: 'g-1', traits: { name: 'Acme' } },
  alias: { userId: 'u-1', previousId: 'a-1' },
}
const more = { anonymousId: 'a-2', event: 'Cut in the middle \ud83d', properties: { emoji: '😀' } }

function callEverything(client) {
  for (const [method, call] of Object.entries(calls)) client[method](call)
  client.track(more)
}

const drivers = {
  async '@segment/analytics-node'({ Analytics }) {
    const client = new Analytics({ writeKey: key, host: url })
    client.on('error', fail)
    callEverything(client)
    await client.closeAndFlush({ timeout: 10_000 })
  },
  async '@customerio/cdp-analytics-node'({ Analytics }) {
    const client = new Analytics({ writeKey: key, host: url })
    client.on('error', fail)
    callEverything(client)
    await client.closeAndFlush({ timeout: 10_000 })
  },
  async '@rudderstack/rudder-sdk-node'({ default: Analytics }) {
    const client = new Analytics(key, { dataPlaneUrl: url, logLevel: 'error' })
    const delivered = []
    const deliver = (method, call) =>
      delivered.push(
        new Promise((done, failed) => client[method](call, (error) => (error ? failed(error) : done()))),
      )
    for (const [method, call] of Object.entries(calls)) deliver(method, call)
    deliver('track', more)
    client.flush() // the first call goes out alone and at once, the rest when they are many, or now
    await Promise.all(delivered)
  },
}

function fail(error) {
  console.error(error)
  process.exit(1)
}

await drivers[name](await import(name)).catch(fail)
process.exit(0)

// Makes vectors.json and the foreign/*.car files with ipfs-unixfs-importer, an
// implementation of UnixFS that shares no code with shoal.
//
//   npm install ipfs-unixfs-importer@17.1.1 blockstore-core
//   node generate.mjs        # a few minutes; "node generate.mjs quick" leaves out files above 64 MiB
//
// README.md beside it says what the fields of vectors.json mean.
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'
import { BlackHoleBlockstore } from 'blockstore-core/black-hole'
import { MemoryBlockstore } from 'blockstore-core/memory'

const MiB = 1 << 20
const KiB = 1 << 10

// bytes yields size bytes: the top byte of each state of a linear congruential generator.
function * bytes (seed, size) {
  let x = seed >>> 0
  while (size > 0) {
    const b = new Uint8Array(Math.min(size, MiB))
    for (let i = 0; i < b.length; i++) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0
      b[i] = x >>> 24
    }
    size -= b.length
    yield b
  }
}

// candidates turns a description into what the importer takes.
function * candidates (path, d) {
  const mode = d.mode
  if (d.text !== undefined) {
    yield { path, mode, content: new TextEncoder().encode(d.text) }
  } else if (d.size !== undefined) {
    yield { path, mode, content: bytes(d.seed, d.size) }
  } else if (d.leaves !== undefined) {
    yield { path, content: (function * () { for (let i = 0; i < d.leaves; i++) yield new TextEncoder().encode('x') })() }
  } else if (d.symlink !== undefined) {
    yield { path, link: d.symlink }
  } else if (d.many !== undefined) {
    for (let i = 0; i < d.many; i++) {
      const n = String(i).padStart(d.digits, '0')
      yield { path: `${path}/${d.prefix}${n}${i === d.many - 1 ? d.last ?? '' : ''}`, content: new TextEncoder().encode(d.each) }
    }
  } else {
    if (d.mode !== undefined || Object.keys(d.dir).length === 0) yield { path, mode }
    for (const [name, child] of Object.entries(d.dir)) yield * candidates(`${path}/${name}`, child)
  }
}

async function run (d, options, store) {
  if (d.leaves !== undefined) options = { ...options, chunker: async function * (s) { yield * s } }
  let last
  for await (const e of importer(candidates('root', d), store ?? new BlackHoleBlockstore(), options)) last = e
  return last
}

const profiles = { 'unixfs-v1-2025': { leaf: MiB, width: 1024 }, 'unixfs-v0-2015': { leaf: 256 * KiB, width: 174 } }
const vectors = []

async function vector (profile, name, d) {
  const e = await run(d, { profile })
  vectors.push({ profile, name, content: d, cid: e.cid.toString(), tsize: Number(e.size) })
  console.log(profile, name, e.cid.toString())
}

const quick = process.argv[2] === 'quick'
for (const [profile, { leaf, width }] of Object.entries(profiles)) {
  const file = (size, seed = 1) => ({ seed, size })
  await vector(profile, 'empty file', { text: '' })
  await vector(profile, 'small file', { text: 'hello world' })
  await vector(profile, 'one byte below a leaf', file(leaf - 1))
  await vector(profile, 'one leaf', file(leaf))
  await vector(profile, 'one byte above a leaf', file(leaf + 1))
  await vector(profile, 'two leaves', file(2 * leaf))
  await vector(profile, 'ten leaves and some', file(10 * leaf + 12345, 7))
  if (!quick || width * leaf < 64 * MiB) {
    await vector(profile, 'full root', file(width * leaf, 3))
    await vector(profile, 'one byte above a full root', file(width * leaf + 1, 3))
  }
  for (const leaves of [2, width, width + 1, 2 * width, 2 * width + 1, width * width, width * width + 1]) {
    if (!quick || leaves < 100000) await vector(profile, `${leaves} leaves of one byte`, { leaves })
  }
  // With dag-pb leaves the importer wraps a single leaf's whole block as if it
  // were the file's bytes; Kubo puts the mode into the leaf, and so do we.
  if (width === 1024) {
    await vector(profile, 'executable', { text: '#!/bin/sh\n', mode: 0o755 })
    await vector(profile, 'empty executable', { text: '', mode: 0o755 })
    await vector(profile, 'executable of one leaf', { ...file(leaf, 4), mode: 0o755 })
  }
  await vector(profile, 'executable of three leaves', { ...file(2 * leaf + 5, 5), mode: 0o755 })
  await vector(profile, 'empty directory', { dir: {} })
  await vector(profile, 'directory', { dir: { b: { text: 'two' }, a: { text: 'one' }, 'a b.txt': { text: '' }, A: { text: 'capital' } } })
  await vector(profile, 'names', { dir: { 'grüße': { text: 'g' }, '日本語': { text: 'j' }, '😀': { text: 'e' }, 'é': { text: 'composed' }, 'e\u0301': { text: 'decomposed' }, '\uffff': { text: 'above' }, '-rf': { text: '' }, '.hidden': { text: 'h' } } })
  await vector(profile, 'nested', { dir: { empty: { dir: {} }, deep: { dir: { er: { dir: { and: { dir: { deeper: { text: 'x' }, none: { dir: {} } } } } } } }, big: file(leaf + 10, 9), same: file(leaf + 10, 9) } })
  await vector(profile, 'symlinks', { dir: { target: { text: 't' }, link: { symlink: 'target' }, up: { symlink: '../other' }, abs: { symlink: '/etc/hosts' } } })
  if (width === 1024) await vector(profile, 'modes', { dir: { run: { text: '#!/bin/sh\n', mode: 0o755 }, plain: { text: 'p' }, private: { text: 's', mode: 0o600 } } })
  // 55 bytes a link in the first profile, 64 in the second; the threshold is 256 KiB.
  await vector(profile, '3000 entries', { many: 3000, prefix: 'file-', digits: 6, each: 'x' })
  await vector(profile, '10000 entries', { many: 10000, prefix: 'file-', digits: 6, each: 'x' })
  await vector(profile, '70000 entries', { many: 70000, prefix: 'file-', digits: 6, each: 'y' })
  const [many, prefix, digits] = width === 1024 ? [4765, '', 11] : [4096, 'name', 26]
  await vector(profile, 'below the threshold', { many: many - 1, prefix, digits, each: 'x' })
  await vector(profile, 'at most the threshold', { many, prefix, digits, each: 'x' })
  await vector(profile, 'above the threshold', { many: many + 1, prefix, digits, each: 'x' })
  await vector(profile, 'just above the threshold', { many, prefix, digits, each: 'x', last: width === 1024 ? '0123456789'.repeat(7) : 'z' })
}
if (!quick) writeFileSync('vectors.json', '[\n' + vectors.map(v => JSON.stringify(v)).join(',\n') + '\n]\n')

// Trees of other shapes than the profiles', with all their blocks.
const varint = n => { const b = []; for (; n > 127; n = Math.floor(n / 128)) b.push((n & 127) | 128); b.push(n); return Uint8Array.from(b) }
const text = s => new TextEncoder().encode(s)

function car (root, blocks) {
  const head = Buffer.concat([text('\x00'), root.bytes])
  const header = Buffer.concat([Uint8Array.of(0xa2, 0x65), text('roots'), Uint8Array.of(0x81, 0xd8, 0x2a, 0x58, head.length), head, Uint8Array.of(0x67), text('version'), Uint8Array.of(1)])
  const parts = [varint(header.length), header]
  for (const [cid, data] of blocks) parts.push(varint(cid.bytes.length + data.length), cid.bytes, data)
  return Buffer.concat(parts)
}

const foreign = []
async function tree (name, d, options) {
  const blocks = []
  const seen = new Set()
  const store = new MemoryBlockstore()
  const put = store.put.bind(store)
  store.put = (cid, data, o) => {
    if (!seen.has(cid.toString())) blocks.push([cid, data])
    seen.add(cid.toString())
    return put(cid, data, o)
  }
  const e = await run(d, options, store)
  mkdirSync('foreign', { recursive: true })
  writeFileSync(`foreign/${name}.car`, car(e.cid, blocks))
  const sum = createHash('sha256')
  if (d.size !== undefined) for (const b of bytes(d.seed, d.size)) sum.update(b)
  foreign.push({ name, cid: e.cid.toString(), content: d, sha256: d.size === undefined ? undefined : sum.digest('hex') })
}
const small = { chunker: fixedSize({ chunkSize: 64 }), layout: balanced({ maxChildrenPerNode: 4 }) }
await tree('narrow-raw', { seed: 1, size: 5000 }, { ...small, rawLeaves: true })
await tree('narrow-dag-pb', { seed: 2, size: 5000 }, { ...small, rawLeaves: false, cidVersion: 1 })
await tree('narrow-v0', { seed: 3, size: 5000 }, { ...small, rawLeaves: false, cidVersion: 0 })
await tree('narrow-v0-raw', { seed: 4, size: 5000 }, { ...small, rawLeaves: true, cidVersion: 0 })
await tree('leaves-of-type-raw', { seed: 5, size: 5000 }, { ...small, rawLeaves: false, leafType: 'raw' })
await tree('trickle', { seed: 6, size: 9000 }, { chunker: fixedSize({ chunkSize: 64 }), layout: trickle({ maxChildrenPerNode: 4 }), rawLeaves: false, leafType: 'raw' })
await tree('data-first', { seed: 7, size: 5000 }, { ...small, rawLeaves: false, fieldOrder: 'data-first' })
await tree('one-leaf-below-a-node', { seed: 8, size: 40 }, { ...small, rawLeaves: true, reduceSingleLeafToSelf: false })
await tree('data-first-directory', { dir: { a: { text: 'one' }, b: { seed: 9, size: 300 }, c: { dir: { d: { text: 'two' } } } } }, { ...small, fieldOrder: 'data-first' })
await tree('fanout-16', { many: 200, prefix: 'n', digits: 3, each: 'z' }, { shardFanoutBits: 4, shardSplitThresholdBytes: 100 })
await tree('fanout-1024', { many: 200, prefix: 'n', digits: 3, each: 'z' }, { shardFanoutBits: 10, shardSplitThresholdBytes: 100, rawLeaves: false, cidVersion: 0 })
await tree('sharded-with-mode', { dir: { a: { text: '1' }, b: { text: '2' }, d: { text: '3', mode: 0o755 } }, mode: 0o700 }, { shardSplitThresholdBytes: 10, profile: 'unixfs-v1-2025' })
writeFileSync('foreign/foreign.json', JSON.stringify(foreign, null, 1) + '\n')

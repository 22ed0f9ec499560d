import { expect, test } from 'vitest'
import { EventReader } from './event_stream'

const STREAM =
  'id: 7\r\nevent: event\r\ndata: {"a":1}\r\n\r\n: ping\r\n\r\nid: 8\r\ndata: one\r\ndata:two\r\n\r\nid: 9\r\ndata: half'

test.each([1, 2, 3, 5, 1000])('a stream in pieces of %i is read the same', (size) => {
  const reader = new EventReader()
  const found = []
  for (let at = 0; at < STREAM.length; at += size) found.push(...reader.read(STREAM.slice(at, at + size)))
  expect(found).toEqual([
    { id: '7', kind: 'event', data: '{"a":1}' },
    { id: '8', kind: 'message', data: 'one\ntwo' },
  ])
})

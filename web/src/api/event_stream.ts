// Reads a stream of server-sent events. EventSource can't say after a break where it was, nor why it was refused.

export interface ServerEvent {
  id: string
  kind: string
  data: string
}

/** Takes the text of a stream piece by piece, and gives each event once it is whole. */
export class EventReader {
  private rest = ''
  private id = ''
  private kind = ''
  private data: string[] = [];

  *read(piece: string): Generator<ServerEvent> {
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line !== '') this.take(line)
      else if (this.data.length > 0) yield this.whole()
      else this.kind = ''
    }
  }

  private take(line: string): void {
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') this.data.push(value)
    else if (field === 'id') this.id = value
    else if (field === 'event') this.kind = value
  }

  private whole(): ServerEvent {
    const found = { id: this.id, kind: this.kind || 'message', data: this.data.join('\n') }
    this.kind = ''
    this.data = []
    return found
  }
}

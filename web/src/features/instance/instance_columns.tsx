// The columns of a list of instances, and the same as a card on a phone.
import { Link } from '@tanstack/react-router'
import type { TFunction } from 'i18next'
import type { Instance } from '../../api/schema'
import { Card } from '../../components/card'
import type { Column } from '../../components/data_table'
import { State } from '../../components/state'
import { For } from '../../components/time'

export function InstanceLink({ instance }: { instance: Instance }) {
  return (
    <Link className="name" to="/instances/$id" params={{ id: instance.id }}>
      {instance.name || instance.id}
    </Link>
  )
}

export function instanceColumns(t: TFunction): Column<Instance>[] {
  const none = <span className="faint">{t('table.none')}</span>
  return [
    { key: 'name', head: t('instance.name'), cell: (row) => <InstanceLink instance={row} />, width: '20%' },
    {
      key: 'state',
      head: t('instance.state'),
      cell: (row) => <State kind="instance" state={row.state} />,
      width: '15%',
    },
    { key: 'node', head: t('instance.node'), cell: (row) => row.node || none, width: '15%' },
    { key: 'pipeline', head: t('instance.pipeline'), cell: (row) => row.pipeline || none, width: '17%' },
    { key: 'ports', head: t('instance.ports'), cell: (row) => <Ports ports={row.ports} none={none} />, width: '17%' },
    { key: 'revision', head: t('instance.revision'), cell: (row) => `v${row.revision}`, width: '6%', right: true },
    { key: 'since', head: t('instance.since'), cell: (row) => <For at={row.since} />, width: '10%', right: true },
  ]
}

export function InstanceCard({ instance }: { instance: Instance }) {
  return (
    <Card
      kind="instance"
      state={instance.state}
      title={<InstanceLink instance={instance} />}
      detail={
        <>
          <State kind="instance" state={instance.state} bare />, {instance.node}
        </>
      }
      right={<For at={instance.since} />}
    />
  )
}

function Ports({ ports, none }: { ports: readonly string[]; none: React.ReactNode }) {
  if (ports.length === 0) return none
  return <span className="mono">{[...new Set(ports.map(publicPort))].join(', ')}</span>
}

/** Of "0.0.0.0:8303->8303/udp" what somebody outside needs: "8303/udp". */
export function publicPort(port: string): string {
  const [outside = '', inside = ''] = port.split('->')
  const protocol = inside.split('/')[1]
  const number = outside.slice(outside.lastIndexOf(':') + 1)
  return protocol ? `${number}/${protocol}` : number
}

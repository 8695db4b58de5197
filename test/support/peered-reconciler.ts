import { Reconciler } from '../../src/dataplane/reconcile/reconciler.ts'
import { type PeerTransition, Peers } from '../../src/peers/peers.ts'

type ReconcilerParts = ConstructorParameters<typeof Reconciler>[0]

/** A reconciler with its peers, connected as in the plugin. */
export class PeeredReconciler extends Reconciler {
  readonly peers: Peers

  constructor(parts: Omit<ReconcilerParts, 'peers'>) {
    const peers = new Peers()
    super({ ...parts, peers })
    this.peers = peers
  }

  applyPeers(transitions: readonly PeerTransition[]): void {
    this.peersChanged(this.peers.apply(transitions))
  }
}

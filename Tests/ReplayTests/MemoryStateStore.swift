import Processor
import TestSupport

/// A store in memory, whose writes take effect at once or when they are asked for.
final class MemoryStateStore: StateStorePort {
  struct Task {
    var epoch: Int64 = 0
    var position: Int64?
    var states: [[UInt8]: (bytes: [UInt8], position: Int64)] = [:]
  }

  var tasks: [String: Task] = [:]
  private var random: SplitMix64
  private var pending: (() -> Void)?

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  func claim(_ task: String) throws(StoreError) -> TaskClaim {
    // Whoever has begun a write and died has not made it.
    pending = nil
    tasks[task, default: Task()].epoch += 1
    return TaskClaim(epoch: tasks[task]?.epoch ?? 0, position: tasks[task]?.position)
  }

  func load(
    _ task: String, epoch: Int64, position: Int64?, next: Int64?, _ keys: ByteStrings,
    _ body: (Int, StoredState) -> Void
  ) throws(StoreError) {
    let known = tasks[task]
    guard known?.epoch == epoch, known?.position == position || next != nil && known?.position == next else {
      throw StoreError(.fatal, "\(task) is not where its owner takes it to be")
    }
    for index in 0..<keys.count {
      if let state = keys.withBytes(index, { known?.states[Array($0)] }) {
        state.bytes.withUnsafeBytes { body(index, .state($0, position: state.position)) }
      } else {
        body(index, .none)
      }
    }
  }

  func startCommit(
    _ task: String, epoch: Int64, from: Int64?, to position: Int64, states: KeyedStates
  ) throws(StoreError) -> Bool {
    guard tasks[task]?.epoch == epoch, tasks[task]?.position == from else {
      throw StoreError(.fatal, "\(task) is not where its writer takes it to be")
    }
    let write = { [self] in
      for index in 0..<states.count {
        states.withBytes(index) {
          tasks[task]?.states[Array($0)] = $1.isEmpty ? nil : (Array($1), states.position ?? position)
        }
      }
      tasks[task]?.position = position
    }
    if Bool.random(using: &random) {
      write()
      return true
    }
    pending = write
    return false
  }

  func finishCommit(waiting: Bool) throws(StoreError) -> Bool {
    guard let pending, waiting || Bool.random(using: &random) else { return pending == nil }
    self.pending = nil
    pending()
    return true
  }
}

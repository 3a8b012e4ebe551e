import FeatureCore

/// What a task folds its records into, and what that makes: states by key, of which some are in memory and all in the store. The
/// views of an input are such, and so is a join.
///
/// What an operator does with records is its own, and called without going through this: a view folds the rows of a batch
/// (`Folding.swift`), a join the records of its log one by one (`JoinFold`). What is alike is how its states come from the store
/// and go there.
protocol TaskOperator {
  /// What the keys of its states begin with in the store.
  var keyPrefix: [UInt8] { get }
  /// Whether some of its states are in the store alone. Until then a task that has begun with nothing asks for none.
  var hasEvicted: Bool { get }

  /// Takes the state that the store has of a key that isn't in memory; throws if it is none.
  func insert(_ key: [UInt8], _ bytes: UnsafeRawBufferPointer) throws(StateError)
  /// The store has no state of a key.
  func insertNothing(_ key: [UInt8])
  /// The state that the store has of a key can't be used: events of the key become dead letters.
  func insertDamaged(_ key: [UInt8])
  /// Whose state it is that stops the task if it is none although its checksum is right; nil: it is damaged like others.
  func ownerOfUndecodable(_ key: Text) -> String?
  /// What is damaged, as people call it, and what would help.
  func damage(of key: Text) -> (what: String, remedy: String)

  /// What has changed is on its way to the store: changes count anew. What isn't needed may leave memory, so that about
  /// `bytesMax` stay.
  func seal(bytesMax: Int)
}

extension WorkerTask.TaskView: TaskOperator {
  var hasEvicted: Bool { cache.hasEvicted }

  func insert(_ key: [UInt8], _ bytes: UnsafeRawBufferPointer) throws(StateError) {
    let state = try fold.view.decode(bytes)
    key.withUnsafeBytes { cache.young.insert($0, state) }
  }

  /// Its table begins a state with the first event.
  func insertNothing(_ key: [UInt8]) {}

  func insertDamaged(_ key: [UInt8]) { key.withUnsafeBytes { cache.young.insertDamaged($0) } }

  func ownerOfUndecodable(_ key: Text) -> String? { "view '\(fold.view.name)', entity '\(key)'" }

  func damage(of key: Text) -> (what: String, remedy: String) {
    (
      "the store's state of entity '\(key)' in view '\(fold.view.name)'",
      "it is restored: stop the service, then plumb replay -d FILE --into redis --from beginning"
    )
  }

  func seal(bytesMax: Int) { cache.seal(bytesMax: bytesMax) }
}

extension JoinFold: TaskOperator {
  var keyPrefix: [UInt8] { StateKey.prefix(view: plan.name) }
  var hasEvicted: Bool { isTable ? rows.hasEvicted : rights.hasEvicted }

  func ownerOfUndecodable(_ key: Text) -> String? { nil }

  func damage(of key: Text) -> (what: String, remedy: String) {
    ("what the store has of key '\(key)' in join '\(plan.name)'", "a new version is filled")
  }
}

extension ProcessorLoop {
  /// Has the states of some keys in memory that aren't, in one round trip.
  func load<Operator: TaskOperator>(
    _ keys: [[UInt8]], of part: Operator, _ task: WorkerTask
  ) throws(LoopFault) {
    // Of a task that began with nothing, all that it has folded is in memory until something is dropped. Its claim need not
    // be proved for that: what is in memory is the fold of the log, whoever has the task.
    if keys.isEmpty || task.beginsAnew && !part.hasEvicted { return }
    counts.cacheMisses += keys.count
    let prefix = part.keyPrefix
    var undecodable: String?
    var isSetBack = false
    var damaged: [(key: [UInt8], reason: String)] = []
    try onStore(task.partition) { () throws(StoreError) in
      try store.load(
        task.name, epoch: task.epoch, position: task.stored, next: task.sealed,
        ByteStrings(keys.map { prefix + $0 })
      ) { index, stored in
        switch stored {
        case .none: part.insertNothing(keys[index])
        case .state(_, let position) where !task.covers(position): isSetBack = isSetBack || !task.beginsAnew
        case .state(let bytes, _):
          do throws(StateError) {
            try part.insert(keys[index], bytes)
          } catch {
            if let owner = part.ownerOfUndecodable(Text(utf8: keys[index])) {
              undecodable = "task \(task.name), \(owner): \(error)"
            } else {
              damaged.append((keys[index], "\(error)"))
            }
          }
        case .damaged(let reason): damaged.append((keys[index], reason))
        }
      }
    }
    if let undecodable { throw .stop(undecodable) }
    if isSetBack { throw .setBack(task.partition) }
    for (key, reason) in damaged { setAside(key, reason, part, task) }
  }

  /// Leaves a key out whose state in the store is damaged: its events become dead letters, and the others go on.
  private func setAside(_ key: [UInt8], _ reason: String, _ part: some TaskOperator, _ task: WorkerTask) {
    part.insertDamaged(key)
    guard task.reportedEntities.count < WorkerTask.reportedEntitiesMax,
      task.reportedEntities.insert(part.keyPrefix + key).inserted
    else { return }
    let (what, remedy) = part.damage(of: Text(utf8: key))
    report(
      "task \(task.name): \(what) is damaged: \(reason). Its events go to '\(routing.deadLetterTopic)' until \(remedy)"
    )
  }
}

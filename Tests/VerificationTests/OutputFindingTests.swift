import OutputRecords
import Processor
import SwiftProtobuf
import Testing

@testable import Verification

/// What a verification says of records that another program wrote, doubled or deleted. Each test tampers with what a
/// faultless service has made.
@Suite struct OutputFindingTests {
  private let shop: Shop

  init() throws {
    shop = try Shop()
    shop.produce(40)
    try shop.process()
    shop.produce(25, from: 40)
    try shop.process()
  }

  private func expectOne(_ subject: Finding.Subject, _ words: String, _ place: Comment? = nil) throws {
    let findings = try shop.verify().findings
    #expect(findings.count == 1, "\(findings)")
    let isFound = findings.contains { $0.subject == subject && "\($0)".contains(words) }
    #expect(isFound, "\(findings)")
  }

  // MARK: Forwarded records

  /// What the views make of the record is right, so that only the source tells.
  @Test func aRecordPutIntoARepartitionTopic() throws {
    let event = Array("{\"user\":\"u9\",\"item\":\"i1\",\"price\":3,\"ts\":1700000100}".utf8)
    shop.log.append(Shop.byItem, key: Array("i1".utf8), value: event)
    try shop.process()
    try expectOne(.forward, "no record of the source is forwarded as this")
  }

  @Test func aDoubledForward() throws {
    let partition = shop.log.topics[Shop.byItem]!.firstIndex { !$0.isEmpty }!
    shop.log.topics[Shop.byItem]![partition].append(shop.log.topics[Shop.byItem]![partition][0])
    try shop.process()
    try expectOne(.forward, "more records like this")
  }

  @Test func aLostForward() throws {
    // Rebuilt without the record, states, snapshots and all.
    let rebuilt = try Shop()
    rebuilt.produce(40)
    try rebuilt.process()
    let partition = rebuilt.log.topics[Shop.byItem]!.firstIndex { !$0.isEmpty }!
    rebuilt.log.topics[Shop.byItem]![partition].removeLast()
    rebuilt.log.topics[Shop.snapshots] = [[], []]
    rebuilt.store.tasks = rebuilt.store.tasks.filter { !$0.key.contains("by-item") }
    let users = rebuilt.store.tasks
    rebuilt.store.tasks = [:]
    let byItem = rebuilt.log.topics[Shop.byItem]!
    rebuilt.log.topics[Shop.byItem] = [[], []]
    try rebuilt.process()
    rebuilt.log.topics[Shop.byItem] = byItem
    rebuilt.log.topics[Shop.snapshots] = [[], []]
    rebuilt.store.tasks = users
    try rebuilt.process()
    let findings = try rebuilt.verify(expectsEverySnapshot: false).findings
    #expect(findings.map(\.subject) == [.forward], "\(findings)")
    #expect(findings.first?.description.contains("has to be forwarded to \(Shop.byItem)") == true)
  }

  @Test func aForwardUnderAnotherKey() throws {
    let partition = shop.log.topics[Shop.byItem]!.firstIndex { !$0.isEmpty }!
    shop.change(Shop.byItem, partition, 0) { $0.key = Array("i7".utf8) }
    let subjects = Set(try shop.verify().findings.filter { $0.subject == .forward }.map(\.difference))
    #expect(subjects.count == 2, "\(subjects)")
  }

  /// What was forwarded from behind the store's position is no difference: the log is committed first.
  @Test func whatTheStoreHasNotHeardOfIsAllowed() throws {
    let tasks = shop.store.tasks
    shop.produce(20, from: 65)
    try shop.process()
    shop.store.tasks = tasks
    #expect(try shop.verify().findings == [])
  }

  // MARK: Snapshots

  @Test func aDoubledSnapshot() throws {
    let partition = shop.log.topics[Shop.snapshots]!.firstIndex { !$0.isEmpty }!
    shop.log.topics[Shop.snapshots]![partition].append(shop.log.topics[Shop.snapshots]![partition][0])
    #expect(try shop.verify(expectsEverySnapshot: false).findings == [])
    try expectOne(.snapshot, "two snapshots of this position")
  }

  @Test func aSnapshotUnderAWrongKey() throws {
    let partition = shop.log.topics[Shop.snapshots]!.firstIndex { !$0.isEmpty }!
    shop.change(Shop.snapshots, partition, 0) { $0.key = Array("users:nobody".utf8) }
    try expectOne(.snapshot, "has the key 'users:nobody', not 'users:u")
  }

  @Test func aSnapshotInAWrongPartition() throws {
    let partition = shop.log.topics[Shop.snapshots]!.firstIndex { !$0.isEmpty }!
    let record = shop.log.topics[Shop.snapshots]![partition].removeFirst()
    shop.log.topics[Shop.snapshots]![1 - partition].insert(record, at: 0)
    try expectOne(.snapshot, "belongs in partition \(partition)")
  }

  @Test func aSnapshotFromBeyondTheLog() throws {
    let partition = shop.log.topics[Shop.snapshots]!.firstIndex { !$0.isEmpty }!
    var record = shop.log.topics[Shop.snapshots]![partition][0]
    var snapshot = try Plumbline_Snapshot(serializedBytes: record.value!)
    snapshot.offset = 5_000
    record.value = try snapshot.serializedBytes()
    shop.log.topics[Shop.snapshots]![partition].append(record)
    try expectOne(.snapshot, "before this position")
  }

  @Test func aSnapshotOfWhatIsNotFolded() throws {
    let partition = shop.log.topics[Shop.snapshots]!.firstIndex { !$0.isEmpty }!
    for (change, words) in [
      ({ $0.topic = "elsewhere" }, "no view folds from 'elsewhere'"),
      ({ $0.view = "orders" }, "no such view"),
    ] as [((inout Plumbline_Snapshot) -> Void, String)] {
      var record = shop.log.topics[Shop.snapshots]![partition][0]
      var snapshot = try Plumbline_Snapshot(serializedBytes: record.value!)
      change(&snapshot)
      record.value = try snapshot.serializedBytes()
      shop.log.topics[Shop.snapshots]![partition].append(record)
      try expectOne(.snapshot, words)
      shop.log.topics[Shop.snapshots]![partition].removeLast()
    }
  }

  // MARK: Dead letters

  /// The letter, as it has to be, of a record that can't be used.
  private func letter() throws -> [UInt8] {
    let payload = "{\"user\":\"u1\",\"price\":\"x\",\"ts\":1700000000}"
    let partition = shop.log.append(Shop.clicks, key: Array("u1".utf8), value: Array(payload.utf8))
    let offset = shop.log.topics[Shop.clicks]![partition].count - 1
    shop.change(Shop.clicks, partition, offset) { $0.timestampMilliseconds = 1_700_001_000_000 }
    try shop.process()
    let fold = TaskFold(shop.plan, Routing(shop.plan).inputs[0], Int32(partition), of: 2, from: 0)
    var letters: [[UInt8]] = []
    fold.onDue = { if $0.topic == Shop.letters { letters.append($0.value.map(Array.init) ?? []) } }
    try shop.log.read(TopicPartition(Shop.clicks, Int32(partition)), 0..<Int64(offset + 1)) { fold.fold($0) }
    #expect(letters.count == 1)
    let bytes = try #require(letters.last)
    let letter = try Plumbline_DeadLetter(serializedBytes: bytes)
    #expect(letter.reason == "wrong_type" && letter.offset == Int64(offset) && letter.version == 1)
    return bytes
  }

  private func add(_ letter: [UInt8]) {
    shop.log.append(Shop.letters, key: Array("u1".utf8), value: letter, to: 0)
  }

  /// A record without a key has a letter without one.
  @Test func lettersWithoutAKey() throws {
    let partition = shop.log.append(Shop.clicks, key: nil, value: Array("no event".utf8))
    let end = shop.log.topics[Shop.clicks]![partition].count
    try shop.process()
    let fold = TaskFold(shop.plan, Routing(shop.plan).inputs[0], Int32(partition), of: 2, from: 0)
    var letters: [[UInt8]] = []
    fold.onDue = { due in
      guard due.topic == Shop.letters else { return }
      #expect(due.key == nil)
      letters.append(due.value.map(Array.init) ?? [])
    }
    try shop.log.read(TopicPartition(Shop.clicks, Int32(partition)), 0..<Int64(end)) { fold.fold($0) }
    #expect(letters.count == 1)
    for letter in letters { shop.log.append(Shop.letters, key: nil, value: letter, to: 0) }
    #expect(try shop.verify().findings == [])
  }

  private func changed(_ letter: [UInt8], _ change: (inout Plumbline_DeadLetter) -> Void) throws -> [UInt8] {
    var message = try Plumbline_DeadLetter(serializedBytes: letter)
    change(&message)
    return try message.serializedBytes()
  }

  @Test func lettersAreDue() throws {
    let letter = try letter()
    try expectOne(.deadLetter, "has no letter of it")
    // What retention may have removed is not missed.
    shop.log.firsts[TopicPartition(Shop.letters, 0)] = 1
    shop.log.append(Shop.letters, key: nil, value: nil, to: 0)
    #expect(try shop.verify().findings == [])
    shop.log.firsts = [:]
    shop.log.topics[Shop.letters] = [[]]
    add(letter)
    #expect(try shop.verify().findings == [])
    add(letter)
    try expectOne(.deadLetter, "more letters of a record than it calls for")
    #expect(try shop.verify(expectsEverySnapshot: false).findings == [])
  }

  @Test func lettersFromBeforeTheirVersions() throws {
    let letter = try letter()
    // Without its last field, the version.
    add(Array(letter.dropLast(2)))
    // Another version may have sent this one.
    add(Array(letter.dropLast(2)))
    #expect(try shop.verify().findings == [])
    add(
      try changed(letter) {
        $0.version = 0
        $0.reason = "malformed_json"
      })
    try expectOne(.deadLetter, "no record of a source calls for this letter")
  }

  /// What is said of a record may change from release to release, and what is the matter with it may not.
  @Test func lettersInOtherWords() throws {
    let letter = try letter()
    add(try changed(letter) { $0.message = "as an earlier release said it" })
    #expect(try shop.verify().findings == [])
    shop.log.topics[Shop.letters] = [[]]
    add(try changed(letter) { $0.reason = "malformed_json" })
    let differences = Set(try shop.verify().findings.map(\.difference))
    #expect(differences.count == 2, "\(differences)")
  }

  @Test func forgedLetters() throws {
    let letter = try letter()
    add(letter)
    // Another version's, which is for that one to judge.
    add(try changed(letter) { $0.version = 2 })
    #expect(try shop.verify().findings == [])
    add(try changed(letter) { $0.offset = 3 })
    try expectOne(.deadLetter, "no record of a source calls for this letter")
    shop.log.topics[Shop.letters]![0].removeLast()
    shop.log.append(Shop.letters, key: nil, value: Array("garbage".utf8), to: 0)
    try expectOne(.deadLetter, "the record is no dead letter")
  }

  // MARK: The store

  @Test func aPositionSetBack() throws {
    let name = shop.store.tasks.keys.filter { $0.hasPrefix("clicks.") && $0.count == 8 }.max {
      shop.store.tasks[$0]!.position! < shop.store.tasks[$1]!.position!
    }!
    shop.store.tasks[name]!.position! -= 10
    let findings = try shop.verify().findings
    #expect(!findings.isEmpty)
    for finding in findings {
      #expect("\(finding)".contains("probably the position in the store was set back"), "\(finding)")
    }
  }

  /// A verification used to wait for records that never come.
  @Test func aStoreAheadOfTheLog() throws {
    shop.store.tasks["clicks.0"]!.position = 5_000
    let error = #expect(throws: VerificationError.self) { try shop.verify() }
    #expect(error?.description.contains("the store is at offset 5000, but clicks-0 ends at") == true)
  }

  @Test func keysOfUsersMoveNoCursor() throws {
    let key = Array("users:\u{1B}[2J\u{9B}1m\n\u{202E}x".utf8)
    shop.store.tasks["clicks.0"]!.states[key] = [1, 2, 3]
    let findings = try shop.verify().findings
    #expect(findings.count == 1)
    #expect(findings[0].description.contains("entity '\\u{1b}[2J\\u{9b}1m\\n\\u{202e}x'"), "\(findings)")
  }
}

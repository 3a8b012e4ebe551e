import Testing

/// `plumb topics` against a broker of the same binary.
@Suite struct TopicsTests {
  private static let definitions = """
    name: shop
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string }
    views:
      users: { source: clicks, entity: [user], features: { clicks: { aggregate: count, windows: 1h } } }
      items: { source: clicks, entity: [item], features: { clicks: { aggregate: count, windows: 1h } } }
    """

  /// Runs shell with a broker at `$BROKERS` that has some topics.
  private func withBroker(_ topics: String, _ script: String) throws -> Workspace.Result {
    let workspace = try Workspace()
    try workspace.write(Self.definitions, to: "shop.yaml")
    return try workspace.shell(
      """
      $PLUMB broker --port 0 --topics \(topics) > broker.log 2> /dev/null & broker=$!
      trap "kill $broker" EXIT
      until grep -q listening broker.log; do kill -0 $broker || exit 9; sleep 0.02; done
      BROKERS="--brokers $(sed 's/listening on //' broker.log)"
      \(script)
      """)
  }

  @Test func differencesAreNamed() throws {
    let result = try withBroker(
      "clicks:3,shop.1.clicks.by-item:2,shop.snapshots:5,shop.dead-letters:2",
      "$PLUMB topics check -d shop.yaml $BROKERS")
    #expect(result.status == 1, "\(result.error)")
    #expect(
      result.output.split(separator: "\n").map(String.init) == [
        "shop.1.clicks.by-item: has 2 partitions, should have 3: as many as the source's topic",
        "shop.1.clicks.by-item: max.message.bytes is 1048588, should be 1114112",
        "shop.snapshots: has 5 partitions, should have 3: as many as the source topic that has the most",
        "shop.snapshots: max.message.bytes is 1048588, should be 1114112",
        "shop.snapshots: retention.ms is 604800000, should be -1",
        "shop.dead-letters: max.message.bytes is 1048588, should be 1114112",
        "shop.dead-letters: retention.ms is 604800000, should be 2592000000",
      ], "\(result.output)")
  }

  @Test func whatIsAppliedIsAsItShouldBe() throws {
    let result = try withBroker(
      "other:1",
      """
      $PLUMB topics check -d shop.yaml $BROKERS && exit 7
      $PLUMB topics apply -d shop.yaml $BROKERS --partitions 5 && $PLUMB topics check -d shop.yaml $BROKERS \
      && echo fine
      """)
    #expect(result.status == 0, "\(result.error)")
    #expect(
      result.output.contains("shop.snapshots: is missing (every state, for training); run plumb topics"))
    #expect(result.output.contains("shop.1.clicks.by-item: created with 5 partitions"))
    #expect(
      result.output.hasSuffix("shop.dead-letters: created with 1 partitions\nfine\n"), "\(result.output)")
  }

  /// Compaction would forget the rows that a key had before.
  @Test func tablesAreNotCompacted() throws {
    let workspace = try Workspace()
    try workspace.write(
      """
      name: shop
      version: 1
      sources:
        users:
          table: true
          topic: users
          key: user_id
          timestamp: { field: ts, unit: ms }
          fields: { user_id: string, tier: string }
      views:
        profile:
          source: users
          entity: user_id
          features: { tier: { column: tier, default: none } }
      """, to: "shop.yaml")
    let result = try workspace.shell(
      """
      $PLUMB broker --port 0 > broker.log 2> /dev/null & broker=$!
      trap "kill $broker" EXIT
      until grep -q listening broker.log; do kill -0 $broker || exit 9; sleep 0.02; done
      BROKERS="--brokers $(sed 's/listening on //' broker.log)"
      $PLUMB topics apply -d shop.yaml $BROKERS > /dev/null && $PLUMB topics check -d shop.yaml $BROKERS && echo fine
      sed 's/topic: users/topic: shop.captured/; s/name: shop/name: other/' shop.yaml > compacted.yaml
      sed -i 's/    table: true/    table: true\\n    capture: { postgres: "host=none", table: users }/' shop.yaml
      $PLUMB topics apply -d shop.yaml $BROKERS > /dev/null
      $PLUMB topics check -d compacted.yaml $BROKERS | grep shop.captured
      """)
    #expect(
      result.output
        == "fine\nshop.captured: cleanup.policy is compact, should be delete: compaction forgets the rows that a "
        + "key had before, which training rows are made of\n", "\(result.output) \(result.error)")
  }
}

import FeastDefinitions
import FeatureCore
import Testing

/// The text of a Feast repository.
@Suite struct FeastRepositoryTests {
  private static func plan() throws -> Plan {
    let clicks = Source(
      "clicks", topic: "clicks", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .string), .init("item", .int64), .init("price", .double)])
    let orders = Source(
      "orders", topic: "orders", timestamp: .init(field: "ts", unit: .milliseconds),
      fields: [.init("user", .int64), .init("paid", .bool)])
    var pairs = View(
      "pairs", source: "clicks", entity: ["user", "item"],
      features: [
        Feature("spend", .aggregate(.init(.sum, value: "price", windows: [.last("1h"), .lifetime]))),
        Feature("spend_items", .aggregate(.init(.lastK, value: "item", windows: [.lifetime], k: 3))),
      ])
    pairs.annotations = Annotations(
      owner: "a \"b\"", description: "two\nlines, one \\ and \u{1}", tags: ["b": "2", "a": "ü"])
    pairs.features[0].annotations = Annotations(owner: "not of fields", description: "Euro.")
    let buyers = View(
      "buyers", source: "orders", entity: ["user"],
      features: [Feature("paid", .aggregate(.init(.last, value: "paid", windows: [.lifetime])))])
    let ranker = Service(
      "class", features: ["pairs.spend_lifetime", "pairs.spend_items_lifetime"],
      inputs: [.init("bid", .double)],
      derived: [.init("ratio", "bid / nullif(pairs__spend_1h, 0)")])
    return try Plan(
      Definitions(
        name: "my-shop", version: 3, sources: [clicks, orders], views: [pairs, buyers], services: [ranker]))
  }

  private static func repository() throws -> FeastRepository {
    FeastRepository(try plan(), .init(parquet: "../features", server: "http://features:6566"))
  }

  @Test func entitiesAreColumnsOfOneType() throws {
    let text = try Self.repository().definitions
    #expect(
      text.contains(
        """
        entity_user = Entity(
            name="user",
            join_keys=["user"],
            value_type=ValueType.STRING,
        )
        """))
    // The other source declares the column otherwise.
    #expect(
      text.contains(
        """
        entity_user_int64 = Entity(
            name="user_int64",
            join_keys=["user"],
            value_type=ValueType.INT64,
        )
        """))
  }

  @Test func viewsHaveColumnsAndWhatIsToldOfThem() throws {
    let text = try Self.repository().definitions
    let view = """
      view_pairs = FeatureView(
          name="pairs",
          entities=[entity_user, entity_item],
          ttl=timedelta(0),
          schema=[
              Field(name="user", dtype=String),
              Field(name="item", dtype=Int64),
              Field(name="spend_1h", dtype=Float64, description="Euro."),
              Field(name="spend_lifetime", dtype=Float64, description="Euro."),
              Field(name="spend_items_lifetime", dtype=Array(Int64)),
          ],
          source=FileSource(
              name="pairs",
              path="../features/view=pairs",
              timestamp_field="committed_at",
          ),
          online=True,
          description="two\\nlines, one \\\\ and \\x01",
          owner="a \\"b\\"",
          tags={"a": "ü", "b": "2"},
      )

      """
    #expect(text.contains(view), "\(text)")
    #expect(text.contains("entities=[entity_user_int64],"))
    #expect(text.contains("Field(name=\"paid_lifetime\", dtype=Bool),"))
  }

  @Test func servicesHaveFeaturesAlone() throws {
    let text = try Self.repository().definitions
    let service = """
      # Computed by `plumb serve`, and no feature of a view: ratio.
      service_class = FeatureService(
          name="class",
          features=[
              view_pairs[["spend_lifetime", "spend_items_lifetime"]],
          ],
      )

      """
    #expect(text.hasSuffix(service), "\(text)")
    #expect(text.contains("project = Project(name=\"my_shop\")"))
    #expect(text.contains("definitions of my-shop, version 3, fingerprint "))
  }

  @Test func settingsNameTheServer() throws {
    let settings = try Self.repository().settings
    #expect(settings.hasPrefix("project: my_shop\n"))
    #expect(settings.contains("online_store:\n  type: remote\n  path: \"http://features:6566\"\n"))
  }
}

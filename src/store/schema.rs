//! The tables as both databases hold them, in types that both have; it may not know queries.
//!
//! Text, whole numbers and nothing else: times are microseconds, structured values are JSON.
//! `migrations/sqlite` and `migrations/postgres` make these tables.

diesel::table! {
    requests (method, id) {
        method -> Text,
        id -> Text,
        digest -> Text,
        resource_kind -> Text,
        resource_id -> Text,
        created -> BigInt,
        answer -> Nullable<Text>,
    }
}

diesel::table! {
    points (id) {
        id -> Text,
        kind -> Text,
        name -> Text,
        description -> Text,
        cloud -> Text,
        project -> Text,
        server -> Text,
        instance_name -> Text,
        capture -> Nullable<Text>,
        schedule -> Nullable<Text>,
        kept_until -> Nullable<BigInt>,
        held -> BigInt,
        state -> Text,
        runtime_state -> Text,
        progress -> Text,
        error -> Nullable<Text>,
        detail -> Text,
        created -> BigInt,
        updated -> BigInt,
        revision -> BigInt,
        verified -> Nullable<BigInt>,
        doubt -> Nullable<Text>,
    }
}

diesel::table! {
    restorations (id) {
        id -> Text,
        dr_backup -> Nullable<Text>,
        backup -> Nullable<Text>,
        cloud -> Text,
        project -> Text,
        instance -> Text,
        instance_name -> Text,
        wish -> Text,
        state -> Text,
        runtime_state -> Text,
        progress -> Text,
        error -> Nullable<Text>,
        detail -> Text,
        created -> BigInt,
        updated -> BigInt,
        revision -> BigInt,
    }
}

diesel::table! {
    links (dr_backup, backup) {
        dr_backup -> Text,
        backup -> Text,
        own -> BigInt,
    }
}

diesel::table! {
    mirrors (dr_backup, backup, cloud, project) {
        dr_backup -> Text,
        backup -> Text,
        cloud -> Text,
        project -> Text,
        seen -> BigInt,
    }
}

diesel::table! {
    operations (id) {
        id -> Text,
        resource_kind -> Text,
        resource_id -> Text,
        cloud -> Text,
        project -> Text,
        kind -> Text,
        ask -> Text,
        state -> Text,
        created -> BigInt,
        deadline -> BigInt,
        deadline_fixed -> BigInt,
        per_gib -> BigInt,
        cancelled -> Nullable<BigInt>,
        ended -> Nullable<BigInt>,
        idle -> BigInt,
        cancel_keeps_volumes -> BigInt,
    }
}

diesel::table! {
    effects (operation, key) {
        operation -> Text,
        key -> Text,
        ordinal -> BigInt,
        cloud -> Text,
        project -> Text,
        name -> Text,
        request -> Text,
        disposal -> Text,
        state -> Text,
        external -> Nullable<Text>,
        status -> Nullable<Text>,
        fact -> Nullable<Text>,
        fault -> Nullable<Text>,
        held -> Nullable<Text>,
        attempt -> BigInt,
        changed -> BigInt,
    }
}

diesel::table! {
    events (position) {
        position -> BigInt,
        resource_kind -> Text,
        resource_id -> Text,
        sequence -> BigInt,
        time -> BigInt,
        state -> Text,
        runtime_state -> Text,
        progress -> Text,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    lanes (cloud, project) {
        cloud -> Text,
        project -> Text,
        owner -> Nullable<Text>,
        epoch -> BigInt,
        expires_at -> BigInt,
        attended_at -> BigInt,
    }
}

diesel::table! {
    replicas (name) {
        name -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sweeps (aim, cloud, project) {
        aim -> Text,
        cloud -> Text,
        project -> Text,
        begun -> BigInt,
        ended -> Nullable<BigInt>,
        problem -> Nullable<Text>,
        found -> Text,
    }
}

diesel::table! {
    schedules (id) {
        id -> Text,
        name -> Text,
        cloud -> Text,
        project -> Text,
        server -> Text,
        plan -> Text,
        active -> BigInt,
        next -> Nullable<Text>,
        begins -> Nullable<BigInt>,
        failures -> BigInt,
        runtime_state -> Text,
        error -> Nullable<Text>,
        created -> BigInt,
        updated -> BigInt,
        revision -> BigInt,
    }
}

diesel::table! {
    runs (id) {
        id -> Text,
        schedule -> Text,
        cloud -> Text,
        slot -> BigInt,
        cause -> Text,
        outcome -> Text,
        reason -> Text,
        point_kind -> Nullable<Text>,
        point_id -> Nullable<Text>,
        began -> BigInt,
        ended -> Nullable<BigInt>,
    }
}

diesel::table! {
    secrets (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    audit (number) {
        number -> BigInt,
        time -> BigInt,
        text -> Text,
        digest -> Text,
    }
}

diesel::table! {
    audit_ends (name) {
        name -> Text,
        head -> BigInt,
        head_digest -> Text,
        anchor -> BigInt,
        anchor_digest -> Text,
    }
}

diesel::table! {
    seal_keys (id) {
        id -> Text,
        since -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(effects, operations);
diesel::allow_tables_to_appear_in_same_query!(lanes, operations);
diesel::allow_tables_to_appear_in_same_query!(links, mirrors);
diesel::allow_tables_to_appear_in_same_query!(lanes, sweeps);
diesel::allow_tables_to_appear_in_same_query!(points, mirrors);
diesel::allow_tables_to_appear_in_same_query!(points, sweeps);
diesel::allow_tables_to_appear_in_same_query!(mirrors, sweeps);

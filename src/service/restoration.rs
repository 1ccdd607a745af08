//! Admits what is asked about restorations; it may not know how an instance is rebuilt.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Service,
    acting::Acting,
    content,
    fields::Fields,
    refused,
    request::{answer, check_etag, nothing_to_cancel},
};
use crate::{
    domain::{
        action::Action,
        caller::Scope,
        decision::Detail,
        difference::Difference,
        error::{Blocker, Error, ErrorKind},
        head::Head,
        id::{
            InstanceId, NetworkId, PointId, PointKind, ResourceId, RestorationId, ServerId, Tenant,
            VolumeId,
        },
        lifecycle::{State, Transition},
        manifest::{Manifest, VolumeFacts},
        operation::{Ask, Operation},
        page::{Filter, Order, Page, Query},
        point::Content,
        restoration::{Restoration, RestorationDetail, RestoreOptions, RestorePlanInput},
        sighting::{Thing, ThingKind},
    },
    port::store::RequestKey,
};

/// What `CreateRestoration` asks for.
#[derive(Debug, Clone)]
pub struct CreateRestoration {
    /// What is restored.
    pub source: PointId,
    /// Where to.
    pub tenant: Tenant,
    /// How.
    pub options: RestoreOptions,
    /// How long it may take; nothing means the configured limit.
    pub deadline: Option<Duration>,
    /// Only check it.
    pub validate_only: bool,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What `DeleteRestoration` asks for.
#[derive(Debug, Clone)]
pub struct DeleteRestoration {
    /// Which.
    pub id: RestorationId,
    /// Whether the instance goes too, with its volumes, ports and groups; imported records stay.
    pub delete_instance: bool,
    /// Whether what lies in a cloud that does not answer may be forgotten.
    pub allow_missing_cloud: bool,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

impl Acting {
    /// Admits a new restoration; the instance has our id from this answer on.
    pub async fn restoration_create(&self, ask: CreateRestoration) -> Result<Restoration, Error> {
        self.service.check_restoration(&ask)?;
        self.may_in(Action::RestoreInto, &ask.tenant)?;
        let asked = self.asked(content::create_restoration(&ask));
        if let Some(answer) = self
            .restoration_answered(asked.key.as_ref(), Action::RestoreInto)
            .await?
        {
            return Ok(answer);
        }
        let answers = if ask.validate_only {
            self.service.gate.enter(&ask.tenant).await?;
            true
        } else {
            let inside = self.service.gate.enter_later(&ask.tenant).await?;
            inside.is_some()
        };
        let (input, seen, doubt) = self.restorable(&ask).await?;
        let manifest = &input.manifest;
        check_options(Fields::new(self.service.limits()), &ask.options, manifest)?;

        let id = RestorationId(self.service.clock.new_id());
        let name = if ask.options.name.is_empty() {
            manifest.name.clone()
        } else {
            ask.options.name.clone()
        };
        let mut restoration = Restoration {
            id,
            source: ask.source,
            tenant: ask.tenant.clone(),
            instance: InstanceId(self.service.clock.new_id()),
            instance_name: name,
            options: ask.options.clone(),
            head: Head::scheduled(self.service.clock.now()),
            detail: RestorationDetail::default(),
        };
        let names_things = ask.options.names_things();
        let validate_only = ask.validate_only;
        let operation = self.service.operation(
            ResourceId::Restoration(id),
            ask.tenant,
            Ask::Restore(Box::new(input)),
            State::CreationScheduled,
            ask.deadline,
            seen,
        );
        if validate_only {
            if let Some(Detail::Restoration(detail)) =
                self.service.rehearse(&operation).await?.detail
            {
                restoration.detail = *detail;
            }
            // It may be tried, which alone proves it; whoever asks first hears what speaks against it.
            let doubt = doubt.map(|reason| {
                let why = format!("it is not known that it can be restored: {reason}");
                Difference::new("backup", why)
            });
            restoration.detail.differences.extend(doubt);
            return Ok(restoration);
        }
        if names_things && answers {
            self.service.check_named(&operation).await?;
        }
        let admitted = self
            .service
            .store
            .restoration_admit(asked, restoration, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// What is restored, once that may begin; how long a GiB of it took to be saved, where moving it back
    /// takes the like; and why it is doubtful whether it can be restored, where it is.
    async fn restorable(
        &self,
        ask: &CreateRestoration,
    ) -> Result<(RestorePlanInput, Option<Duration>, Option<String>), Error> {
        let mut point = self.point(ask.source, Action::RestoreFrom).await?;
        point.check_restorable(&ask.tenant)?;
        let doubt = point.unrecoverable_reason();
        let seen = point.detail.capture_duration_per_gib();
        let Some(manifest) = point.detail.manifest.take() else {
            return Err(point.not_restorable("the manifest is missing"));
        };
        let (volume_backups, snapshots) = match point.detail.content {
            Content::Dr(links) => (links, Vec::new()),
            Content::Regular(snapshots) => (Vec::new(), snapshots),
        };
        let input = RestorePlanInput {
            manifest: *manifest,
            volume_backups,
            snapshots,
            mirrors: self.mirrors(ask.source).await?,
            options: ask.options.clone(),
        };
        Ok((input, seen, doubt))
    }

    /// One restoration.
    pub async fn restoration_get(&self, id: RestorationId) -> Result<Restoration, Error> {
        self.restoration(id, Action::ReadRestoration).await
    }

    /// A page of restorations.
    pub async fn restorations_list(&self, query: Query) -> Result<Page<Restoration>, Error> {
        let page = self
            .service
            .store
            .restorations_list(self.scoped(query.clone()))
            .await;
        let of = Filter {
            points: query.filter.points.clone(),
            ..Filter::default()
        };
        self.honest_of(&query, page.map_err(refused)?, of).await
    }

    /// The restoration that makes the instance of this id of ours.
    pub async fn restoration_of_instance(
        &self,
        instance: InstanceId,
    ) -> Result<Restoration, Error> {
        let absent = || Error::not_found("restored instance", instance);
        let found = self.service.store.restoration_of_instance(instance).await;
        let restoration = found.map_err(refused)?.ok_or_else(absent)?;
        self.may(Action::ReadRestoration, &restoration.tenant, absent)?;
        Ok(restoration)
    }

    /// The instance of a restoration as its cloud shows it now; nothing before its server exists.
    pub async fn restored_instance(
        &self,
        restoration: &Restoration,
    ) -> Result<Option<Manifest>, Error> {
        self.may_in(Action::ReadRestoration, &restoration.tenant)?;
        let Some(server) = &restoration.detail.server else {
            return Ok(None);
        };
        let inside = self.service.gate.ours(&restoration.tenant);
        Ok(Some(inside.instance(server).await?))
    }

    /// Admits the removal of a restoration; the instance stays unless its deletion is asked for.
    pub async fn restoration_delete(&self, ask: DeleteRestoration) -> Result<Restoration, Error> {
        let asked = self.asked(content::delete_restoration(&ask));
        if let Some(answer) = self
            .restoration_answered(asked.key.as_ref(), Action::DeleteRestoration)
            .await?
        {
            return Ok(answer);
        }
        let mut restoration = self.restoration(ask.id, Action::DeleteRestoration).await?;
        check_etag(&ask.etag, restoration.head.revision, "the restoration")?;
        let scheduled = restoration.moved(Transition::ScheduleDeletion)?;
        let things = if ask.delete_instance {
            restoration.detail.made.clone()
        } else {
            Vec::new()
        };
        self.service
            .check_not_kept(&restoration.tenant, &things)
            .await?;
        let missing = self
            .service
            .missing_clouds(ask.allow_missing_cloud, [&restoration.tenant])
            .await;
        let operation = self.service.operation(
            ResourceId::Restoration(restoration.id),
            restoration.tenant.clone(),
            Ask::DeleteRestoration { things, missing },
            scheduled,
            None,
            None,
        );
        restoration.head.state = scheduled;
        "Deletion scheduled".clone_into(&mut restoration.head.runtime_state);
        restoration.head.updated = self.service.clock.now();
        let admitted = self
            .service
            .store
            .restoration_change(asked, restoration, operation)
            .await
            .map_err(refused)?;
        Ok(answer(admitted))
    }

    /// Cancels a restoration; it ends in `ERRED` with nothing left behind but imported records, and, where
    /// that is wished for, the volumes that have their bytes.
    pub async fn restoration_cancel(
        &self,
        id: RestorationId,
        request_id: &str,
        keep_volumes: bool,
    ) -> Result<Restoration, Error> {
        let asked = self.asked(content::cancel_restoration(id, keep_volumes, request_id));
        if let Some(answer) = self
            .restoration_answered(asked.key.as_ref(), Action::DeleteRestoration)
            .await?
        {
            return Ok(answer);
        }
        let restoration = self.restoration(id, Action::DeleteRestoration).await?;
        let resource = ResourceId::Restoration(id);
        let now = self.service.clock.now();
        if !self
            .service
            .store
            .operation_cancel(asked, resource, now, keep_volumes)
            .await
            .map_err(refused)?
        {
            return Err(nothing_to_cancel(&resource, restoration.head.state));
        }
        self.restoration_get(id).await
    }

    /// The answer to the first copy of this request, so that a repeat is not refused because of the
    /// very change that the first one made.
    async fn restoration_answered(
        &self,
        key: Option<&RequestKey>,
        action: Action,
    ) -> Result<Option<Restoration>, Error> {
        let Some(key) = key else { return Ok(None) };
        let answer = self.service.store.restoration_answered(key).await;
        let answer = answer.map_err(refused)?;
        if let Some(restoration) = &answer {
            self.may_repeat(
                action,
                &restoration.tenant,
                ResourceId::Restoration(restoration.id),
            )?;
        }
        Ok(answer)
    }
}

impl Service {
    /// Refuses what names things that the target does not have, together with all else that is in the way.
    /// What is not about a name the operation meets itself, and soon: before it makes anything.
    async fn check_named(&self, operation: &Operation) -> Result<(), Error> {
        match timeout(self.limits().peek, self.rehearse(operation)).await {
            Ok(Err(error)) if is_about_a_name(&error) => Err(error),
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
        }
    }

    fn check_restoration(&self, ask: &CreateRestoration) -> Result<(), Error> {
        let options = &ask.options;
        let mut check = Fields::new(self.limits());
        check.present("cloud", ask.tenant.cloud.as_str());
        check.present("tenant", ask.tenant.project.as_str());
        check.at_most("name", &options.name, self.limits().name_characters);
        check.at_most(
            "request_id",
            &ask.request_id,
            self.limits().request_id_characters,
        );
        if let Some(data) = &options.user_data {
            check.at_most(
                "user_data",
                data.expose(),
                self.limits().user_data_characters,
            );
        }
        check.done()
    }

    /// Refuses to delete an instance that has regular backups: their snapshots hold its volumes fast, so
    /// its deletion would wait for them in vain.
    async fn check_not_kept(&self, tenant: &Tenant, things: &[Thing]) -> Result<(), Error> {
        for thing in things
            .iter()
            .filter(|thing| thing.kind == ThingKind::Server)
        {
            let filter = Filter {
                kind: Some(PointKind::Regular),
                cloud: Some(tenant.cloud.clone()),
                project: Some(tenant.project.clone()),
                server: Some(ServerId::new(thing.id.clone())),
                ..Filter::default()
            };
            let query = Query {
                scope: Scope::All,
                filter,
                order: Order::default(),
                after: None,
                skip: 0,
                limit: 1,
            };
            let kept = self.store.points_list(query).await.map_err(refused)?;
            if let Some(backup) = kept.items.first() {
                let message = format!("the instance has the regular backup {}", backup.id);
                return Err(Error::precondition("INSTANCE_HAS_BACKUPS", message)
                    .advise("delete its regular backups first, or keep the instance"));
            }
        }
        Ok(())
    }
}

fn is_about_a_name(error: &Error) -> bool {
    match &error.kind {
        ErrorKind::Blocked(blockers) => blockers.iter().any(Blocker::is_of_a_field),
        ErrorKind::Invalid(_)
        | ErrorKind::NotFound { .. }
        | ErrorKind::RequestReused
        | ErrorKind::Outdated
        | ErrorKind::Precondition { .. }
        | ErrorKind::Short(_)
        | ErrorKind::Unreached
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::Cloud(_)
        | ErrorKind::Unavailable
        | ErrorKind::Internal => false,
    }
}

/// What is wished for must be about this instance.
fn check_options(
    mut check: Fields<'_>,
    options: &RestoreOptions,
    manifest: &Manifest,
) -> Result<(), Error> {
    // A caller names as many as it likes, and each is looked for once.
    let volumes = manifest.volumes.iter().map(|one| (&one.id, one));
    let volumes: HashMap<&VolumeId, &VolumeFacts> = volumes.collect();
    for (index, volume) in options.volumes.iter().enumerate() {
        let field = format!("volumes[{index}].source_volume_id");
        match volumes.get(&volume.volume) {
            None => check.bad(
                &field,
                format!("the backup has no volume {}", volume.volume),
            ),
            Some(source) => {
                if volume.size_gib.is_some_and(|size| size < source.size_gib) {
                    check.bad(
                        &format!("volumes[{index}].size_gib"),
                        format!(
                            "the volume has {} GiB and cannot become smaller",
                            source.size_gib
                        ),
                    );
                }
            }
        }
    }
    let ports = manifest.every_port();
    let networks: HashSet<&NetworkId> = ports.iter().map(|port| &port.network).collect();
    for (index, network) in options.networks.iter().enumerate() {
        if !networks.contains(&network.source) {
            check.bad(
                &format!("networks[{index}].source_network_id"),
                format!("the instance has no port in network {}", network.source),
            );
        }
    }
    check.done()
}

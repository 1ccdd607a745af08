//! The door to what clouds have; it may not know how clouds are asked.

use tonic::{Request, Response, Status};

use super::{
    common::{Call, Door, answered, called},
    convert::{
        cloud,
        fields::{Fields, tenant},
    },
    filter, page,
    pb::{self, cloud_service_server::CloudService},
};
use crate::{
    domain::{
        error::Error,
        flavor_fit,
        id::{CloudName, PointId, ServerId, Tenant},
        inventory::Flavor,
        manifest::Manifest,
        page::PageKey,
    },
    service::{Service, settings::RequestSettings},
};

/// The service of clouds.
pub(super) struct Clouds {
    service: Service,
}

impl Clouds {
    /// A door to `service`.
    pub(super) fn new(service: Service) -> Self {
        Self { service }
    }
}

impl Door for Clouds {
    fn service(&self) -> &Service {
        &self.service
    }
}

impl Call<'_, Clouds> {
    async fn clouds(
        &self,
        message: pb::ListCloudsRequest,
    ) -> Result<pb::ListCloudsResponse, Error> {
        let mut fields = Fields::new(self.service.limits());
        let key = self.service.page_key().await?;
        let cut = Cut::new(
            key,
            &mut fields,
            self.service.limits(),
            &["ListClouds"],
            Asked(&message.filter, &message.page_token, message.page_size),
            &["name"],
        );
        fields.done()?;
        let rows = self
            .service
            .clouds_list()
            .await
            .into_iter()
            .map(cloud::cloud);
        let (clouds, next_page_token) = cut.page(rows.collect(), |cloud, _| cloud.name.clone())?;
        Ok(pb::ListCloudsResponse {
            clouds,
            next_page_token,
        })
    }

    async fn tenants(
        &self,
        message: pb::ListTenantsRequest,
    ) -> Result<pb::ListTenantsResponse, Error> {
        let mut fields = Fields::new(self.service.limits());
        let key = self.service.page_key().await?;
        let cut = Cut::new(
            key,
            &mut fields,
            self.service.limits(),
            &["ListTenants", &message.cloud],
            Asked(&message.filter, &message.page_token, message.page_size),
            &["id", "name"],
        );
        let cloud = CloudName::new(fields.required("cloud", message.cloud));
        fields.done()?;
        let rows = self
            .service
            .tenants_list(&cloud)
            .await?
            .into_iter()
            .map(cloud::tenant);
        let (tenants, next_page_token) = cut.page(rows.collect(), |tenant, field| match field {
            "name" => tenant.name.clone(),
            _ => tenant.id.clone(),
        })?;
        Ok(pb::ListTenantsResponse {
            tenants,
            next_page_token,
        })
    }

    async fn instances(
        &self,
        message: pb::ListInstancesRequest,
    ) -> Result<pb::ListInstancesResponse, Error> {
        let (tenant, cut) = self
            .of_tenant(
                "ListInstances",
                (message.cloud, message.tenant),
                Asked(&message.filter, &message.page_token, message.page_size),
                &["id", "name", "status"],
            )
            .await?;
        let rows = self
            .service
            .instances_list(&tenant)
            .await?
            .into_iter()
            .map(cloud::instance);
        let (instances, next_page_token) =
            cut.page(rows.collect(), |instance, field| match field {
                "name" => instance.name.clone(),
                "status" => instance.status.clone(),
                _ => instance.id.clone(),
            })?;
        Ok(pb::ListInstancesResponse {
            instances,
            next_page_token,
        })
    }

    async fn instance(&self, message: pb::GetInstanceRequest) -> Result<pb::Instance, Error> {
        let mut fields = Fields::new(self.service.limits());
        let tenant = tenant(&mut fields, message.cloud, message.tenant);
        let server = ServerId::new(fields.required("instance_id", message.instance_id));
        fields.done()?;
        if message.include_sensitive {
            self.service.check_sensitive(&tenant)?;
        }
        let read = self.service.instance_get(&tenant, &server).await?;
        Ok(cloud::instance_in_full(&read, message.include_sensitive))
    }

    async fn flavors(
        &self,
        message: pb::ListFlavorsRequest,
    ) -> Result<pb::ListFlavorsResponse, Error> {
        let (tenant, cut) = self
            .of_tenant(
                "ListFlavors",
                (message.cloud, message.tenant),
                Asked(&message.filter, &message.page_token, message.page_size),
                &["id", "name"],
            )
            .await?;
        let manifest = self
            .compared_with(&message.dr_backup_id, message.fitting_only)
            .await?;
        let short = |flavor: &Flavor| match &manifest {
            Some(manifest) => flavor_fit::shortages(manifest, &flavor.shape),
            None => Vec::new(),
        };
        let flavors = self.service.flavors_list(&tenant).await?;
        let mut rows: Vec<pb::Flavor> = flavors
            .iter()
            .map(|flavor| cloud::flavor(flavor, short(flavor)))
            .collect();
        if message.fitting_only {
            rows.retain(|flavor| flavor.shortages.is_empty());
        }
        let (flavors, next_page_token) = cut.page(rows, |flavor, field| match field {
            "name" => flavor.name.clone(),
            _ => flavor.id.clone(),
        })?;
        Ok(pb::ListFlavorsResponse {
            flavors,
            next_page_token,
        })
    }

    /// The manifest of the DR backup that flavors are compared with, if one is named.
    async fn compared_with(
        &self,
        id: &str,
        fitting_only: bool,
    ) -> Result<Option<Box<Manifest>>, Error> {
        let mut fields = Fields::new(self.service.limits());
        if id.is_empty() && fitting_only {
            fields.bad("dr_backup_id", "is required with fitting_only");
        }
        if id.is_empty() {
            return fields.done().map(|()| None);
        }
        let id = PointId::dr(fields.id("dr_backup_id", id));
        fields.done()?;
        let backup = self.service.point_get(id).await?;
        if backup.detail.manifest.is_none() {
            let message = format!("DR backup {id} has no manifest yet to compare flavors with");
            return Err(Error::precondition("DR_BACKUP_NOT_RECOVERABLE", message)
                .advise("wait until its instance was read"));
        }
        Ok(backup.detail.manifest)
    }

    async fn networks(
        &self,
        message: pb::ListNetworksRequest,
    ) -> Result<pb::ListNetworksResponse, Error> {
        let (tenant, cut) = self
            .of_tenant(
                "ListNetworks",
                (message.cloud, message.tenant),
                Asked(&message.filter, &message.page_token, message.page_size),
                &["id", "name"],
            )
            .await?;
        let rows = self
            .service
            .networks_list(&tenant)
            .await?
            .into_iter()
            .map(cloud::network);
        let (networks, next_page_token) =
            cut.page(rows.collect(), |network, field| match field {
                "name" => network.name.clone(),
                _ => network.id.clone(),
            })?;
        Ok(pb::ListNetworksResponse {
            networks,
            next_page_token,
        })
    }

    async fn volume_types(
        &self,
        message: pb::ListVolumeTypesRequest,
    ) -> Result<pb::ListVolumeTypesResponse, Error> {
        let (tenant, cut) = self
            .of_tenant(
                "ListVolumeTypes",
                (message.cloud, message.tenant),
                Asked(&message.filter, &message.page_token, message.page_size),
                &["id", "name"],
            )
            .await?;
        let types = self.service.volume_types_list(&tenant).await?;
        let rows = types.into_iter().map(cloud::volume_type).collect();
        let (volume_types, next_page_token) = cut.page(rows, |one, field| match field {
            "name" => one.name.clone(),
            _ => one.id.clone(),
        })?;
        Ok(pb::ListVolumeTypesResponse {
            volume_types,
            next_page_token,
        })
    }

    /// What every list of a tenant's things is asked with.
    async fn of_tenant(
        &self,
        method: &str,
        (cloud, project): (String, String),
        asked: Asked<'_>,
        known: &[&str],
    ) -> Result<(Tenant, Cut), Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let parts = [method, &cloud, &project];
        let key = self.service.page_key().await?;
        let cut = Cut::new(key, &mut fields, limits, &parts, asked, known);
        let tenant = tenant(&mut fields, cloud, project);
        fields.done().map(|()| (tenant, cut))
    }
}

/// Filter, page token and page size of a request.
pub(super) struct Asked<'a>(pub(super) &'a str, pub(super) &'a str, pub(super) i32);

/// What is cut out of a list that a cloud gives as a whole.
pub(super) struct Cut {
    question: page::Question,
    wanted: Vec<(String, String)>,
    page_token: String,
    size: u32,
}

impl Cut {
    pub(super) fn new(
        key: &PageKey,
        fields: &mut Fields<'_>,
        limits: &RequestSettings,
        parts: &[&str],
        Asked(filter, page_token, page_size): Asked<'_>,
        known: &[&str],
    ) -> Self {
        let parts = [parts, &[filter.trim()]].concat();
        let size = page::size(page_size, limits.page_default, limits.page_max);
        Self {
            question: page::Question::new(key, &parts),
            wanted: fields.take("filter", filter::texts(filter, known)),
            page_token: page_token.to_owned(),
            size: fields.take("page_size", size),
        }
    }

    /// The value that a field of the filter must have, if it names one.
    pub(super) fn wanted(&self, field: &str) -> Option<&str> {
        let mut wanted = self.wanted.iter();
        let found = wanted.find(|(name, _)| name == field);
        found.map(|(_, value)| value.as_str())
    }

    /// Notes a word that no row can have: nothing found would look like nothing there.
    pub(super) fn among(&self, fields: &mut Fields<'_>, field: &str, known: &[String]) {
        if let Some(word) = self.wanted(field)
            && !known.iter().any(|one| one == word)
        {
            let known = known.join(", ");
            fields.bad(
                "filter",
                format!("there is no {field} `{word}`; there are: {known}"),
            );
        }
    }

    /// The page, and the token of the next. `field` reads a field of a row by its name; `id` where
    /// a row has no such field.
    pub(super) fn page<T>(
        self,
        mut rows: Vec<T>,
        field: impl Fn(&T, &str) -> String,
    ) -> Result<(Vec<T>, String), Error> {
        rows.retain(|row| {
            self.wanted
                .iter()
                .all(|(name, value)| field(row, name) == *value)
        });
        let key = |row: &T| (field(row, "name"), field(row, "id"));
        page::cut(&self.question, rows, key, &self.page_token, self.size)
            .map_err(|problem| Error::field("page_token", problem))
    }
}

#[tonic::async_trait]
impl CloudService for Clouds {
    async fn list_clouds(
        &self,
        request: Request<pb::ListCloudsRequest>,
    ) -> Result<Response<pb::ListCloudsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.clouds(message).await)
    }

    async fn list_tenants(
        &self,
        request: Request<pb::ListTenantsRequest>,
    ) -> Result<Response<pb::ListTenantsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.tenants(message).await)
    }

    async fn list_instances(
        &self,
        request: Request<pb::ListInstancesRequest>,
    ) -> Result<Response<pb::ListInstancesResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.instances(message).await)
    }

    async fn get_instance(
        &self,
        request: Request<pb::GetInstanceRequest>,
    ) -> Result<Response<pb::Instance>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.instance(message).await)
    }

    async fn list_flavors(
        &self,
        request: Request<pb::ListFlavorsRequest>,
    ) -> Result<Response<pb::ListFlavorsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.flavors(message).await)
    }

    async fn list_networks(
        &self,
        request: Request<pb::ListNetworksRequest>,
    ) -> Result<Response<pb::ListNetworksResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.networks(message).await)
    }

    async fn list_volume_types(
        &self,
        request: Request<pb::ListVolumeTypesRequest>,
    ) -> Result<Response<pb::ListVolumeTypesResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.volume_types(message).await)
    }
}
